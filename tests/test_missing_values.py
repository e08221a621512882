"""What stands in a missing place changes nothing, not in the last bit."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import consilience as cs

ROWS, CLASSES = 7, 4
FILLERS = {"zero": (0.0, 0), "far": (1e6, 7), "nan": (np.nan, 7)}  # floats, integers
FLOATS = ("normal", "learned_normal", "heteroscedastic_normal")

LIKELIHOODS = {
    "categorical": partial(cs.CategoricalLikelihood, CLASSES),
}
ENCODER = partial(cs.MLPEncoder, hidden=(5,))
DECODER = partial(cs.MLPDecoder, hidden=(5,))


def example(name, generator):
    """Values of a modality of this likelihood, `[7, 3]` or, one-hot, `[7, 3, 4]`."""
    if name in FLOATS:
        return generator.normal(size=(ROWS, 3)).astype(np.float32)
    index = generator.integers(0, 2 if name == "bernoulli" else CLASSES, (ROWS, 3))
    return np.eye(CLASSES, dtype=int)[index] if name == "one_hot" else index


@pytest.fixture(scope="module")
def data():
    """One modality for each likelihood; all lack rows, and single entries of others."""
    generator = np.random.default_rng(1)
    values = {f"{name}s": example(name, generator) for name in cs.LIKELIHOODS}
    present = generator.random((ROWS, len(values))) < 0.6
    present[0] = True
    entries = {}
    for name, value in values.items():
        entries[name] = np.ones(value.shape, bool)
        entries[name][0, 1] = False
    return cs.MultimodalData.from_arrays(values, present, entries=entries)


def filled(data, floats, integers):
    """The same data with something else in every missing place."""
    values = {}
    for name, value in data.values.items():
        filler = floats if value.dtype == jnp.float32 else integers
        values[name] = jnp.where(data.observed(name), value, filler)
        assert not data.observed(name).all()
    return dataclasses.replace(data, values=values)


@pytest.fixture(scope="module", params=cs.AGGREGATIONS)
def outcomes(request, data):
    """By filler: loss, gradients, posterior draws and log-likelihoods."""
    key = jax.random.key(3)
    likelihoods = {
        f"{name}s": LIKELIHOODS.get(name, make)()
        for name, make in cs.LIKELIHOODS.items()
    }
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods, DECODER)
    aggregation = cs.AGGREGATIONS[request.param]
    guide = cs.amortized_guide(2, ENCODER, aggregation, num_features=5)
    elbo = cs.MaskedELBO()
    svi = cs_svi(model, guide, elbo)
    params = jax.jit(lambda data: svi.get_params(svi.init(key, data)))(data)
    size = {"num_samples": 3}

    @jax.jit
    def run(params, data):
        loss = partial(elbo.loss, model=model, guide=guide, data=data)
        return {
            "loss": jax.value_and_grad(lambda params: loss(key, params))(params),
            "posterior": cs.posterior(key, guide, params, data, **size),
            "log_likelihood": cs.log_likelihood(
                key, model, guide, params, data, **size
            ),
        }

    return {name: run(params, filled(data, *f)) for name, f in FILLERS.items()}


def cs_svi(model, guide, elbo):
    from numpyro.infer import SVI
    from optax import adam

    return SVI(model, guide, adam(1e-3), elbo)


@pytest.mark.parametrize("what", ["loss", "posterior", "log_likelihood"])
@pytest.mark.parametrize("filler", ["far", "nan"])
def test_filler_changes_no_bit(outcomes, what, filler):
    """Values, and gradients of every parameter of model and guide."""

    def same(path, expected, got):
        where = jax.tree_util.keystr(path)
        np.testing.assert_array_equal(got, expected, err_msg=where)
        assert np.isfinite(expected).all() or "pareto_k" in where, where

    jax.tree.map_with_path(same, outcomes["zero"][what], outcomes[filler][what])


def test_gradients_are_not_all_zero(outcomes):
    _, gradients = outcomes["zero"]["loss"]
    flat = jax.tree.leaves_with_path(gradients)
    dead = [jax.tree_util.keystr(path) for path, leaf in flat if not leaf.any()]
    assert not dead
