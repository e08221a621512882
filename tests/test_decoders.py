import math
from functools import partial
from itertools import pairwise

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from consilience import DECODERS, MLPDecoder

ROWS, LATENT = 7, 3
parametrize = pytest.mark.parametrize("name", DECODERS)


@parametrize
@pytest.mark.parametrize("event_shape", [(), (5,), (2, 11)])
def test_shape(name, event_shape):
    decoder = DECODERS[name](LATENT, event_shape, rngs=nnx.Rngs(0))
    assert decoder(jnp.ones((ROWS, LATENT))).shape == (ROWS, *event_shape)


@parametrize
def test_every_output_depends_on_every_latent(name):
    decoder = DECODERS[name](LATENT, (2, 11), rngs=nnx.Rngs(0))
    jacobian = jax.jacobian(decoder)(jnp.ones((1, LATENT)))
    assert jacobian.shape == (1, 2, 11, 1, LATENT)
    assert jnp.isfinite(jacobian).all()
    assert (jacobian != 0).all()


@parametrize
def test_rows_are_decoded_one_by_one(name):
    decoder = DECODERS[name](LATENT, (2, 11), rngs=nnx.Rngs(0))
    z = jax.random.normal(jax.random.key(0), (ROWS, LATENT))
    alone = jnp.concatenate([decoder(z[i : i + 1]) for i in range(ROWS)])
    np.testing.assert_allclose(decoder(z), alone, atol=1e-6)


@parametrize
def test_parameters_depend_on_the_streams(name):
    z = jnp.ones((1, LATENT))
    first, other = (DECODERS[name](LATENT, (5,), rngs=nnx.Rngs(s))(z) for s in (0, 1))
    assert (first != other).all()


def test_linear_is_affine():
    decoder = DECODERS["linear"](LATENT, (2, 11), rngs=nnx.Rngs(0))
    decoder.linear.bias[...] = jnp.arange(22.0)
    z = jax.random.normal(jax.random.key(0), (ROWS, LATENT))
    expected = z @ decoder.linear.kernel[...] + jnp.arange(22.0)
    np.testing.assert_allclose(decoder(z).reshape(ROWS, 22), expected, atol=1e-5)


@pytest.mark.parametrize("hidden", [(), (13,), (13, 17)])
def test_hidden_layers_through_partial(hidden):
    make = partial(MLPDecoder, hidden=hidden)
    decoder = make(LATENT, (2, 11), rngs=nnx.Rngs(0))
    sizes = [math.prod(p.shape) for p in jax.tree.leaves(nnx.state(decoder, nnx.Param))]
    widths = [LATENT, *hidden, 22]
    expected = sum((i + 1) * o for i, o in pairwise(widths))
    assert sum(sizes) == expected
