"""Networks that others are made of: their first weights, and shortcuts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

import consilience as cs

WIDTH, ROWS = 64, 500


def sizes_of_signals(constructor, rng_key):
    """Root mean square of each hidden layer's units, given unit normals."""
    net = constructor(WIDTH, (WIDTH,) * 8, WIDTH, rngs=nnx.Rngs(0))
    x, found = jax.random.normal(rng_key, (ROWS, WIDTH)), []
    for layer in net.layers[:-1]:
        x = layer(x)
        found.append(float(jnp.sqrt((x**2).mean())))
        x = nnx.relu(x)
    return np.array(found)


def test_signals_keep_their_size_through_rectifiers(rng_key):
    """He et al. 2015: without, the mean square is halved by each of seven rectifiers."""
    usual = sizes_of_signals(cs.MLP, rng_key)
    kept = sizes_of_signals(cs.rectified(cs.MLP), rng_key)
    assert usual[-1] / usual[0] < 2.0**-2.5
    assert 0.5 < kept[-1] / kept[0] < 2


@pytest.mark.parametrize(
    "constructor",
    [cs.MLP, partial(cs.MLP, activation=nnx.tanh), cs.SkipMLP, cs.ResidualMLP],
)
def test_rectified_scales_kernels_alone(constructor):
    usual, scaled = (
        nnx.to_pure_dict(nnx.state(make(3, (5,), 2, rngs=nnx.Rngs(1)), nnx.Param))
        for make in (constructor, cs.rectified(constructor))
    )
    flat = jax.tree.leaves_with_path(usual)
    for (path, old), new in zip(flat, jax.tree.leaves(scaled), strict=True):
        factor = 2**0.5 if path[-1].key == "kernel" else 1.0
        np.testing.assert_allclose(new, factor * old, rtol=1e-6)


def test_skip_is_an_affine_map_and_a_small_network(rng_key):
    net = cs.SkipMLP(3, (5,), 2, final_scale=0.7, rngs=nnx.Rngs(0))
    x = jax.random.normal(rng_key, (ROWS, 3))
    np.testing.assert_allclose(net(x), net.linear(x) + net.bent(x), rtol=1e-5)
    assert np.std(net.bent(x)) < 0.2 * np.std(net.linear(x))


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="hidden"):
        cs.SkipMLP(3, (0,), 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="out_features"):
        cs.SkipMLP(3, (5,), 0, rngs=nnx.Rngs(0))
