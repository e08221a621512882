"""Transformer blocks over sets, against straight numpy; weights that can be read."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx
from numpyro.infer import SVI

import consilience as cs
from consilience.nn.attention import MaskedAttention, SetNorm, TransformerBlock

ROWS, ELEMENTS, WIDTH = 5, 4, 6


def inputs(rng_key):
    g = jax.random.normal(rng_key, (ROWS, ELEMENTS, WIDTH))
    present = jax.random.bernoulli(rng_key, 0.6, (ROWS, ELEMENTS))
    return g, present.at[0].set(False).at[1].set(True)


def layer(linear, x):
    return x @ np.asarray(linear.kernel[...]) + np.asarray(linear.bias[...])


def attention_of_one_row(module, g, heads):
    """Loops over heads and queries; `g` holds present elements only."""
    projected = layer(module.in_projection, g).reshape(len(g), 3, heads, -1)
    size, out, weights = projected.shape[-1], [], []
    for head in range(heads):
        query, key, value = projected[:, :, head].transpose(1, 0, 2)
        odds = np.exp(query @ key.T / np.sqrt(size))
        weights.append(odds / odds.sum(-1, keepdims=True))
        out.append(weights[-1] @ value)
    return layer(module.out_projection, np.concatenate(out, -1)), np.array(weights)


def test_attention_is_attention_among_the_present(rng_key):
    module = MaskedAttention(WIDTH, 3, rngs=nnx.Rngs(rng_key))
    g, present = inputs(rng_key)
    attended, weights = module(g, present)
    np.testing.assert_array_equal(weights[0], 0.0)
    for row in range(1, ROWS):
        inside = np.flatnonzero(present[row])
        expected, odds = attention_of_one_row(module, np.asarray(g[row, inside]), 3)
        np.testing.assert_allclose(
            attended[row, inside], expected, rtol=1e-4, atol=1e-5
        )
        found = np.asarray(weights[row])[:, inside]
        np.testing.assert_allclose(found[..., inside], odds, rtol=1e-4)
        assert not np.delete(found, inside, -1).any()


@pytest.mark.parametrize("pre_norm", [True, False])
def test_block_adds_and_normalises_in_the_order_that_it_says(rng_key, pre_norm):
    block = TransformerBlock(WIDTH, 2, 9, pre_norm=pre_norm, rngs=nnx.Rngs(rng_key))
    g, present = inputs(rng_key)
    found, _ = block(g, present)

    def norm(x):
        centred = x - x.mean(-1, keepdims=True)
        return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-6)

    def network(x):
        first, second = block.network.layers
        return layer(second, np.maximum(layer(first, x), 0.0))

    row, x = 1, np.asarray(g[1])
    if pre_norm:
        x = x + attention_of_one_row(block.attention, norm(x), 2)[0]
        expected = x + network(norm(x))
    else:
        x = norm(x + attention_of_one_row(block.attention, x, 2)[0])
        expected = norm(x + network(x))
    np.testing.assert_allclose(found[row], expected, rtol=1e-3, atol=1e-4)


def test_set_norm_counts_present_elements_only(rng_key):
    g, present = inputs(rng_key)
    module = SetNorm(WIDTH, rngs=nnx.Rngs(rng_key))
    found = np.asarray(module(3.0 * g + 5.0, present))
    assert np.isfinite(found).all()
    for row in range(1, ROWS):
        inside = found[row][np.asarray(present[row])]
        np.testing.assert_allclose(inside.mean(), 0.0, atol=1e-5)
        np.testing.assert_allclose(inside.std(), 1.0, rtol=1e-4)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"norm": "batch"}, "norm: expected one of layer, set, got 'batch'"),
        ({"num_heads": 3}, "num_heads: expected a divisor of the width 128, got 3"),
        ({"num_layers": 0}, "num_layers: expected a positive integer, got 0"),
    ],
)
def test_refusals(rng_key, settings, message):
    with pytest.raises(ValueError, match=message):
        cs.SelfAttention(7, 3, rngs=nnx.Rngs(rng_key), **settings)


@pytest.mark.parametrize("norm", ["layer", "set"])
@pytest.mark.parametrize(("pre_norm", "layers", "heads"), [(True, 3, 1), (False, 2, 8)])
def test_any_depth_and_heads_leave_absent_modalities_out(
    rng_key, norm, pre_norm, layers, heads
):
    settings = {"norm": norm, "pre_norm": pre_norm, "num_layers": layers}
    module = cs.SelfAttention(
        WIDTH, 2, width=8, num_heads=heads, rngs=nnx.Rngs(rng_key), **settings
    )
    g, present = inputs(rng_key)
    embedded = module.embed(g)
    filled = jnp.where(present[..., None], embedded, jnp.nan)
    parameters = module.pool(filled, present)
    np.testing.assert_array_equal(parameters, module.pool(embedded, present))
    assert np.isfinite(parameters).all()
    weights = module.attention_weights(filled, present)
    assert weights.shape == (ROWS, layers, heads, ELEMENTS, ELEMENTS)
    sums = np.broadcast_to(present[:, None, None], weights.shape[:-1])
    np.testing.assert_allclose(weights.sum(-1), sums, atol=1e-6)


def test_weights_of_a_fit_can_be_read(rng_key):
    generator = np.random.default_rng(0)
    values = {n: generator.normal(size=(7, 3)) for n in "ab"}
    values["a"][2] = np.nan
    data = cs.MultimodalData.from_arrays(values)
    model = cs.multimodal_model(cs.standard_normal(2), cs.NormalLikelihood())

    def fitted(aggregation):
        encoder = partial(cs.MLPEncoder, hidden=(5,))
        guide = cs.amortized_guide(2, encoder, aggregation, 7)
        svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
        return cs.fit(rng_key, svi, data, num_epochs=1, progress=False)

    attentive = fitted(partial(cs.SelfAttention, width=8, num_layers=2))
    weights = attentive.attention_weights(data, chunk_size=4)
    assert weights.shape == (7, 2, 4, 2, 2)
    np.testing.assert_allclose(weights[0].sum(-1), 1.0, rtol=1e-6)
    np.testing.assert_array_equal(weights[2, :, :, 0], 0.0)
    np.testing.assert_array_equal(
        weights[2, :, :, 1], np.broadcast_to([0.0, 1.0], (2, 4, 2))
    )
    only = attentive.attention_weights(data, data.subset_of("a"))
    np.testing.assert_array_equal(only[0, ..., 1], 0.0)
    by_attention = partial(cs.CorrectedProductOfExperts, correction=cs.SelfAttention)
    assert fitted(by_attention).attention_weights(data).shape == (7, 1, 4, 2, 2)
    with pytest.raises(ValueError, match="expected an aggregation with attention"):
        fitted(cs.ProductOfExperts).attention_weights(data)
