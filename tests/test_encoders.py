"""Encoders of one modality."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import consilience as cs

ROWS, FEATURES = 7, 11


@pytest.mark.parametrize("name", cs.ENCODERS)
@pytest.mark.parametrize("event_shape", [(), (3,), (3, 5, 2)])
def test_any_event_becomes_features(name, event_shape, rng_key):
    encoder = cs.ENCODERS[name](event_shape, FEATURES, rngs=nnx.Rngs(rng_key))
    x = jax.random.normal(rng_key, (ROWS, *event_shape))
    features = encoder(x)
    assert (features.shape, features.dtype) == ((ROWS, FEATURES), jnp.float32)
    np.testing.assert_allclose(encoder(x[2:3])[0], features[2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [bool, int])
def test_other_numbers_are_read_as_floats(dtype, rng_key):
    encoder = cs.MLPEncoder((3,), FEATURES, hidden=(5,), rngs=nnx.Rngs(rng_key))
    x = jax.random.bernoulli(rng_key, 0.5, (ROWS, 3))
    np.testing.assert_array_equal(encoder(x.astype(dtype)), encoder(x.astype(float)))


def test_indices_are_read_one_hot(rng_key):
    """The same network on the one-hot vectors, and no order among classes."""
    settings = {"hidden": (5,), "rngs": nnx.Rngs(rng_key)}
    encoder = cs.MLPEncoder((3,), FEATURES, num_classes=4, **settings)
    index = jax.random.randint(rng_key, (ROWS, 3), 0, 4)
    one_hot = (index[..., None] == jnp.arange(4)).astype(float)
    np.testing.assert_array_equal(
        encoder(index), encoder.net(one_hot.reshape(ROWS, 12))
    )
    assert encoder.net.layers[0].kernel.shape == (12, 5)


def test_hidden_widths(rng_key):
    encoder = cs.MLPEncoder((3, 5), FEATURES, hidden=(2, 13), rngs=nnx.Rngs(rng_key))
    shapes = [layer.kernel.shape for layer in encoder.net.layers]
    assert shapes == [(15, 2), (2, 13), (13, FEATURES)]
