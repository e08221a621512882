"""Networks that others are made of: their first weights, and shortcuts."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from numpyro.infer import SVI

import consilience as cs
from consilience.nn.attention import TransformerBlock

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


SIZES = {
    "mlp": (cs.MLP, (3, (5,), 2)),
    "given": (partial(cs.MLP, activation=nnx.tanh), (3, (5,), 2)),
    "skip": (cs.SkipMLP, (3, (5,), 2)),
    "residual": (cs.ResidualMLP, (3, (5,), 2)),
    "block with norms": (TransformerBlock, (4, 2, 5)),
    "images": (cs.ConvEncoder, ((8, 8, 3), 5)),
    "convolution": (partial(nnx.Conv, kernel_size=(3,)), (2, 5)),
}


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("times", [1, 2])
def test_rectified_scales_kernels_alone_and_once(name, times):
    constructor, sizes = SIZES[name]
    wrapped = cs.rectified(constructor) if times == 1 else constructor
    for _ in range(times):
        wrapped = cs.rectified(wrapped)
    usual, scaled = (
        nnx.to_pure_dict(nnx.state(make(*sizes, rngs=nnx.Rngs(1)), nnx.Param))
        for make in (constructor, wrapped)
    )
    flat = jax.tree.leaves_with_path(usual)
    assert {path[-1].key for path, _ in flat} >= {"kernel", "bias"}
    for (path, old), new in zip(flat, jax.tree.leaves(scaled), strict=True):
        factor = 2**0.5 if path[-1].key == "kernel" else 1.0
        np.testing.assert_allclose(new, factor * old, rtol=1e-6)


def test_rectified_networks_train(rng_key):
    """Through `cs.module`, which builds them without numbers first."""
    data = cs.MultimodalData.from_arrays(
        {"a": np.ones((6, 3), np.float32), "b": np.zeros((6, 2), np.float32)}
    )
    natural = cs.AGGREGATIONS["natural_sum_pooling"]
    guide = cs.amortized_guide(2, cs.rectified(cs.MLPEncoder), cs.rectified(natural))
    model = cs.multimodal_model(
        cs.standard_normal(2), cs.LearnedNormalLikelihood(), cs.MLPDecoder
    )
    svi = SVI(model, guide, cs.adam(1e-3, 2), cs.MaskedELBO())
    fitted = cs.fit(rng_key, svi, data, num_epochs=2, progress=False)
    assert np.isfinite(fitted.history.bound).all()


def test_skip_is_an_affine_map_and_a_small_network(rng_key):
    net = cs.SkipMLP(3, (5,), 2, final_scale=0.7, rngs=nnx.Rngs(0))
    x = jax.random.normal(rng_key, (ROWS, 3))
    np.testing.assert_allclose(net(x), net.linear(x) + net.mlp(x), rtol=1e-5)
    assert np.std(net.mlp(x)) < 0.2 * np.std(net.linear(x))


def test_sizes_are_checked():
    with pytest.raises(ValueError, match="hidden"):
        cs.SkipMLP(3, (0,), 2, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match="out_features"):
        cs.SkipMLP(3, (5,), 0, rngs=nnx.Rngs(0))
