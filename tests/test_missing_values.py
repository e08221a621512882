"""What stands in a missing place changes nothing, not in the last bit."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import pytest
from numpyro.infer import SVI

import consilience as cs

ROWS, CLASSES = 7, 4
FILLERS = {"zero": (0.0, 0), "far": (1e6, 7), "nan": (np.nan, 7)}  # floats, integers
FLOATS = {
    *("normal", "learned_normal", "heteroscedastic_normal"),
    *("laplace", "learned_laplace", "student_t"),
}
SETTINGS = {"categorical": {"num_classes": CLASSES}}
ENCODER = partial(cs.MLPEncoder, hidden=(16,))
DECODER = partial(cs.MLPDecoder, hidden=(5,))

# Every likelihood with one aggregation, one aggregation of each other kind with two;
# tests/test_aggregations.py has fillers for all.
OTHERS = ("product_of_experts", "mixture_of_products", "self_attention_mixture")
CASES = {"sum_pooling": tuple(cs.LIKELIHOODS)} | {
    name: ("normal", "categorical") for name in OTHERS
}


def example(likelihood, generator):
    """Measurements `[7, 3]`, or `[7, 3, 4]` where they are one-hot."""
    if likelihood in FLOATS:
        return generator.normal(size=(ROWS, 3)).astype(np.float32)
    index = generator.integers(
        0, 2 if likelihood == "bernoulli" else CLASSES, (ROWS, 3)
    )
    return np.eye(CLASSES, dtype=int)[index] if likelihood == "one_hot" else index


def incomplete(likelihoods):
    """One modality for each likelihood; row 0 misses entries, row 1 everything."""
    generator = np.random.default_rng(1)
    values = {f"{name} data": example(name, generator) for name in likelihoods}
    present = generator.random((ROWS, len(values))) < 0.6
    present[0], present[1] = True, False
    entries = {name: np.ones(value.shape, bool) for name, value in values.items()}
    for mask in entries.values():
        mask[0, 1] = False
    return cs.MultimodalData.from_arrays(
        values, present, entries=entries, allow_empty_rows=True
    )


def filled(data, floats, integers):
    """The same data with something else in every missing place."""
    values = {}
    for name, value in data.values.items():
        filler = floats if value.dtype == jnp.float32 else integers
        values[name] = jnp.where(data.observed(name), value, filler)
        assert np.any(values[name] != value) or floats == 0.0
    return dataclasses.replace(data, values=values)


@pytest.fixture(scope="module", params=CASES)
def outcomes(request):
    """By filler: loss, gradients, posterior draws and log-likelihoods."""
    key, chosen = jax.random.key(3), CASES[request.param]
    data = incomplete(chosen)
    likelihoods = {
        f"{name} data": cs.LIKELIHOODS[name](**SETTINGS.get(name, {}))
        for name in chosen
    }
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods, DECODER)
    aggregation = cs.AGGREGATIONS[request.param]
    guide = cs.amortized_guide(2, ENCODER, aggregation, num_features=5)
    svi = SVI(model, guide, numpyro.optim.Adam(1e-3), cs.MaskedELBO())
    params = jax.jit(lambda data: svi.get_params(svi.init(key, data)))(data)
    programs, size = (model, guide, params), {"num_samples": 3}

    @jax.jit
    def run(data):
        loss = jax.value_and_grad(lambda p: svi.loss.loss(key, p, model, guide, data))
        return {
            "loss": loss(params),
            "posterior": cs.posterior(key, guide, params, data, **size),
            "log_likelihood": cs.log_likelihood(key, *programs, data, **size),
        }

    return {name: run(filled(data, *filler)) for name, filler in FILLERS.items()}


@pytest.mark.parametrize("what", ["loss", "posterior", "log_likelihood"])
@pytest.mark.parametrize("filler", ["far", "nan"])
def test_filler_changes_no_bit(outcomes, what, filler):
    """Values, and gradients of every parameter of model and guide."""

    def same(path, expected, got):
        where = jax.tree_util.keystr(path)
        np.testing.assert_array_equal(got, expected, err_msg=where)
        assert np.isfinite(expected).all() or "pareto_k" in where, where

    jax.tree.map_with_path(same, outcomes["zero"][what], outcomes[filler][what])


def test_every_network_has_a_gradient(outcomes):
    """The equality above is no equality of zeros."""
    _, gradients = outcomes["zero"]["loss"]
    for site, gradient in gradients.items():
        assert any(leaf.any() for leaf in jax.tree.leaves(gradient)), site
