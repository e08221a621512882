"""Predictive densities and intervals of single entries."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from examples import exact_guide, incomplete, linear_gaussian
from numpyro.infer import SVI
from scipy import stats

import consilience as cs


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(2))


@pytest.fixture(scope="module")
def rows(truth):
    """Incomplete rows, and all that there was."""
    whole, _ = truth.simulate(jax.random.key(3), 7)
    return incomplete(jax.random.key(3), truth), {
        n: np.asarray(v) for n, v in whole.values.items()
    }


def exact_law(truth, data, name, subset=None):
    """Mean and standard deviation of each entry given x_S."""
    q = truth.posterior(data, data.subset(subset))
    W = truth.loadings[name]
    mean = q.loc @ W.T + truth.biases[name]
    spread = jnp.einsum("pd,nde,pe->np", W, q.covariance_matrix, W)
    return np.asarray(mean), np.sqrt(spread + truth.scale**2)


@pytest.mark.parametrize("given", [("a", "b", "c"), ("b",), ()])
def test_densities_are_those_of_the_exact_predictive_law(given, truth, rows, rng_key):
    data, x = rows
    subset = data.subset_of(*given)
    found = cs.predictive_log_density(
        rng_key, truth, exact_guide(truth), {}, data, x, subset, num_samples=20_000
    )
    for name, value in x.items():
        mean, scale = exact_law(truth, data, name, subset)
        expected = stats.norm(mean, scale).logpdf(value)
        # E p² over z: the square of a Normal density is one again, of half the variance
        half = np.sqrt(scale**2 - truth.scale**2 / 2)
        second = stats.norm(mean, half).pdf(value) / (2 * truth.scale * np.sqrt(np.pi))
        error = np.sqrt((second / np.exp(2 * expected) - 1) / 20_000)
        assert np.all(np.abs(found[name] - expected) <= 4.5 * error + 1e-4)


def test_units_chunks_and_entries_nobody_asks_for(truth, rows, rng_key):
    data, x = rows
    scaled = data.standardize()
    x = {"c": np.where(np.arange(5) == 2, np.nan, x["c"])}
    programs = (truth, exact_guide(truth), {})
    found = cs.predictive_log_density(
        rng_key, *programs, scaled, x, num_samples=50, chunk_size=3
    )
    assert list(found) == ["c"]
    np.testing.assert_array_equal(np.isnan(found["c"]), np.isnan(x["c"]))
    scale = np.asarray(scaled.standardization.scale["c"])
    loc = np.asarray(scaled.standardization.loc["c"])
    plain = dataclasses.replace(scaled, standardization=None)
    other = cs.predictive_log_density(
        rng_key,
        *programs,
        plain,
        {"c": (x["c"] - loc) / scale},
        num_samples=50,
        chunk_size=3,
    )
    np.testing.assert_allclose(found["c"], other["c"] - np.log(scale), rtol=1e-4)


def test_intervals_are_the_exact_quantiles_and_cover(truth, rng_key):
    data, _ = truth.simulate(rng_key, 300)
    programs = (truth, exact_guide(truth), {})
    subset = data.subset_of("a", "b")
    found = cs.predictive_intervals(
        rng_key, *programs, data, subset, probability=0.8, chunk_size=120
    )
    mean, scale = exact_law(truth, data, "c", subset)
    z = stats.norm.ppf(0.9)
    # a quantile of 1000 draws at .9: standard error √(.09 / 1000) / φ(z) = .054 scales
    for bound, sign in ((found.lower, -1), (found.upper, 1)):
        error = (bound["c"] - (mean + sign * z * scale)) / scale
        assert np.abs(error).max() <= 5 * 0.054
        assert abs(error.mean()) <= 0.01
    cover = found.coverage({"c": data.values["c"]})["c"]
    assert abs(cover - 0.8) <= 4 * np.sqrt(0.16 / 300)  # columns of a row depend
    assert found.probability == 0.8


def test_what_does_not_fit_is_refused(truth, rows, rng_key):
    data, x = rows
    programs = (rng_key, truth, exact_guide(truth), {}, data)
    with pytest.raises(ValueError, match=r"truth: 'a': expected the shape \(7, 2\)"):
        cs.predictive_log_density(*programs, {"a": x["b"]})
    with pytest.raises(ValueError, match="one of the modalities a, b, c, got 'x'"):
        cs.predictive_log_density(*programs, {"x": x["b"]})
    with pytest.raises(ValueError, match=r"probability: expected a number in \(0, 1\)"):
        cs.predictive_intervals(*programs, probability=1.0)
    found = cs.predictive_intervals(*programs, num_samples=10)
    with pytest.raises(ValueError, match="expected one of a, b, c, got 'x'"):
        found.coverage({"x": x["a"]})
    with pytest.raises(
        ValueError, match=r"expected entries of shape \(7, 2\), got .* 0"
    ):
        found.coverage({"a": np.full((7, 2), np.nan)})


def test_one_hot_values_have_a_density_a_position(rng_key):
    text = np.eye(3)[np.array([[0, 1], [2, 2], [1, 0]])]
    data = cs.MultimodalData.from_arrays({"text": text})
    model = cs.multimodal_model(cs.standard_normal(2), cs.OneHotLikelihood())
    guide = cs.amortized_guide(2)
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    params = svi.get_params(svi.init(rng_key, data))
    found = cs.predictive_log_density(
        rng_key, model, guide, params, data, {"text": text}
    )
    assert found["text"].shape == (3, 2)
    assert np.all(found["text"] < 0)


def test_a_joint_law_of_all_entries_keeps_its_jacobian(rng_key):
    """As many rows as columns: a density a row, less the sum of the log scales."""
    values = np.random.default_rng(0).normal(size=(3, 3)) * [1.0, 5.0, 0.2]
    data = cs.MultimodalData.from_arrays({"a": values}).standardize()

    def likelihood(eta, covariates):
        return dist.MultivariateNormal(eta, jnp.eye(3))

    model = cs.multimodal_model(cs.standard_normal(2), likelihood)
    guide = cs.amortized_guide(2)
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    params = svi.get_params(svi.init(rng_key, data))
    run = partial(cs.predictive_log_density, rng_key, model, guide, params)
    found = run(data, {"a": values}, num_samples=20)["a"]
    scaled = {"a": np.asarray(data.values["a"])}
    plain = run(
        dataclasses.replace(data, standardization=None), scaled, num_samples=20
    )["a"]
    jacobian = np.log(values.std(0)).sum()
    np.testing.assert_allclose(found, plain - jacobian, rtol=1e-4)


def test_categories_may_be_left_out_and_arrays_are_refused(rng_key, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    word = np.array([[0, 2], [1, 1], [2, 0]])
    data = cs.MultimodalData.from_arrays({"word": word})
    model = cs.multimodal_model(cs.standard_normal(2), cs.CategoricalLikelihood(3))
    guide = cs.amortized_guide(2, partial(cs.MLPEncoder, num_classes=3, masked=False))
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    params = svi.get_params(svi.init(rng_key, data))
    run = partial(cs.predictive_log_density, rng_key, model, guide, params, data)
    asked = np.where(word == 1, np.nan, word)
    found = run({"word": asked}, num_samples=5)["word"]
    np.testing.assert_array_equal(np.isnan(found), word == 1)
    np.testing.assert_allclose(
        found[word != 1], run({"word": word}, num_samples=5)["word"][word != 1]
    )
    with pytest.raises(TypeError, match="truth: expected values by modality"):
        run(word)
