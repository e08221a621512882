"""Counts: accuracy from 0 to a million, libraries, draws, and what is refused."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro.distributions as dist
import optax
import pytest
from numpyro import handlers
from numpyro.infer import SVI
from scipy import stats
from scipy.special import gammaln, log_softmax

import consilience as cs
from consilience.models.count_distributions import (
    TANGENT_FROM,
    LogNegativeBinomial,
    LogPoisson,
    negative_binomial_log_prob,
    poisson_log_prob,
    stirling_error,
)

COUNTS = [0, 1, 2, 9, 10, 11, 100, 10_000, 1_000_000]
CONCENTRATIONS = [1e-4, 0.01, 0.5, 1.0, 5.0, 12.0, 1e3, 1e6]
LIKELIHOODS = [
    cs.PoissonLikelihood,
    cs.NegativeBinomialLikelihood,
    cs.ZeroInflatedNegativeBinomialLikelihood,
]


@pytest.fixture(scope="module")
def grid():
    """Counts against log-means from −50 to 50 and close to the counts; float32."""
    near = np.log(np.maximum(COUNTS, 0.5))
    eta = np.concatenate([np.linspace(-50, 50, 41), near, near + 0.01, near * 1.0001])
    return [jnp.asarray(a, jnp.float32) for a in np.meshgrid(COUNTS, eta)]


def double(tree):
    return jax.tree.map(lambda a: np.asarray(a, float), tree)


def poisson(k, eta):
    return k * eta - gammaln(k + 1) - np.exp(eta)


def negative_binomial(k, eta, r):
    log_total = np.logaddexp(np.log(r), eta)
    choose = gammaln(k + r) - gammaln(r) - gammaln(k + 1)
    return choose + r * (np.log(r) - log_total) + k * (eta - log_total)


def gate(p, eta, zero):
    """A zero of probability sigmoid(eta), else log-probability p."""
    inflated, taken = -np.logaddexp(0, -eta), p - np.logaddexp(0, eta)
    return np.where(zero, np.logaddexp(inflated, taken), taken)


def check_gradient(found, expected, k):
    """Rounding of log k and eta is relative to the mean."""
    assert np.isfinite(found).all()
    assert np.all(np.abs(found - expected) <= 5e-6 * np.abs(expected) + 5e-7 * (k + 1))


def test_references_are_those_of_scipy(grid):
    k, eta = double(grid)
    expected = stats.poisson(np.exp(eta)).logpmf(k)
    np.testing.assert_allclose(poisson(k, eta), expected, rtol=1e-9, atol=1e-8)
    r, few = 2.0, np.abs(eta) < 20
    expected = stats.nbinom(r, r / (r + np.exp(eta[few]))).logpmf(k[few])
    found = negative_binomial(k[few], eta[few], r)
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)


def test_stirling_error():
    x = np.array([0.01, 0.5, 1, 3, 9.99, 10.01, 50, 1e6])
    expected = gammaln(x + 1) - (x + 0.5) * np.log(x) + x - 0.5 * np.log(2 * np.pi)
    found = stirling_error(jnp.asarray(x, jnp.float32))
    np.testing.assert_allclose(found[:-1], expected[:-1], rtol=1e-5, atol=2e-6)
    np.testing.assert_allclose(found[-1], 1 / 12e6, rtol=1e-6)


@pytest.mark.usefixtures("strict_ranks")
def test_poisson_keeps_its_digits_in_single_precision(grid):
    k, eta = grid
    exact = poisson(*double(grid))
    found = jax.jit(poisson_log_prob)(k, eta)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=5e-5, atol=5e-6)
    gradient = jax.jit(jax.grad(lambda eta: poisson_log_prob(k, eta).sum()))(eta)
    check_gradient(gradient, double(k) - np.exp(double(eta)), double(k))


@pytest.mark.parametrize("r", CONCENTRATIONS)
def test_negative_binomial_keeps_its_digits_in_single_precision(grid, r):
    k, eta = grid
    r = jnp.float32(r)
    exact = negative_binomial(*double(grid), float(r))
    value = lambda eta, r: negative_binomial_log_prob(k, eta, r).sum()  # noqa: E731
    found = jax.jit(negative_binomial_log_prob)(k, eta, r)
    assert found.dtype == jnp.float32
    np.testing.assert_allclose(found, exact, rtol=5e-5, atol=5e-6)
    of_eta, of_r = jax.jit(jax.grad(value, (0, 1)))(eta, r)
    mean = np.exp(double(eta))
    k = double(k)
    check_gradient(of_eta, float(r) * (k - mean) / (float(r) + mean), k)
    assert np.isfinite(of_r)


def near_poisson(k, mean, r):
    """Log p as a product of k factors, which cancels nothing at large r."""
    factors = np.log1p((np.arange(k) - mean) / (r + mean)).sum()
    return factors + k * np.log(mean) - gammaln(k + 1) - r * np.log1p(mean / r)


@pytest.mark.parametrize("r", [1e3, 1e8, 1e12, 1e30])
def test_negative_binomial_close_to_poisson_keeps_its_digits(r):
    """Concentrations that grow without bound, as of counts that are Poisson."""
    counts = [0, 1, 5, 100, 1_000_000]
    k, factor = (a.ravel() for a in np.meshgrid(counts, [0.5, 1.0, 1.3]))
    eta = jnp.asarray(np.log(np.maximum(k, 0.5) * factor), jnp.float32)
    found = negative_binomial_log_prob(jnp.float32(k), eta, jnp.float32(r))
    mean, r = np.exp(double(eta)), float(np.float32(r))
    exact = [near_poisson(*one, r) for one in zip(k, mean, strict=True)]
    np.testing.assert_allclose(found, exact, rtol=5e-6, atol=5e-6)


@pytest.mark.parametrize("size", [-50.0, 0.0, 50.0])
def test_zero_inflation_keeps_its_digits_in_single_precision(grid, size):
    k, eta = grid
    logits = jnp.full(k.shape, size)

    def value(eta, logits):
        counts = LogNegativeBinomial(eta, jnp.float32(2.0))
        return dist.ZeroInflatedDistribution(counts, gate_logits=logits).log_prob(k)

    wide = negative_binomial(*double(grid), 2.0)
    found = jax.jit(value)(eta, logits)
    np.testing.assert_allclose(found, gate(wide, size, k == 0), rtol=5e-5, atol=5e-6)
    gradients = jax.jit(jax.grad(lambda *a: value(*a).sum(), (0, 1)))(eta, logits)
    assert np.isfinite(gradients).all()


FAR = np.array([-200, -100, -60, 59, 61, 87, 90, 100, 200])


def zero_inflated(k, eta, r):
    counts = LogNegativeBinomial(eta, r)
    return dist.ZeroInflatedDistribution(counts, gate_logits=jnp.zeros(())).log_prob(k)


@pytest.mark.parametrize(
    ("log_prob", "settings"),
    [(poisson_log_prob, ())]
    + [
        (f, (r,)) for f in (negative_binomial_log_prob, zero_inflated) for r in (0.5, 5)
    ],
)
def test_means_gone_astray_are_led_back(log_prob, settings):
    """Beyond the numbers of single precision too: finite, and uphill towards the count."""
    k, eta = (jnp.asarray(a, jnp.float32) for a in np.meshgrid(COUNTS, FAR))
    settings = [jnp.float32(a) for a in settings]
    values, back = jax.vjp(lambda *a: log_prob(k, *a), eta, *settings)
    slope, *others = back(jnp.ones_like(values))
    assert np.isfinite(values).all()
    assert np.isfinite(slope).all()
    assert np.isfinite(others).all()
    counted = k > 0
    np.testing.assert_array_equal(np.sign(slope)[counted], -np.sign(eta)[counted])
    assert np.all(slope[~counted] <= 0)
    if log_prob is not zero_inflated:  # whose zeros may all be no counts
        assert np.all(slope[~counted & (eta > 0)] < 0)


def test_poisson_goes_on_along_its_tangent():
    k, eta = double(np.meshgrid(COUNTS, [TANGENT_FROM + 1, 90, 200]))
    start, slope = poisson(k, TANGENT_FROM), k - np.exp(TANGENT_FROM)
    value = lambda eta: poisson_log_prob(jnp.asarray(k, jnp.float32), eta)  # noqa: E731
    found, back = jax.vjp(value, jnp.asarray(eta, jnp.float32))
    expected = start + slope * (eta - TANGENT_FROM)
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(back(jnp.ones_like(found))[0], slope, rtol=1e-5)


def test_probabilities_sum_to_one(x64):
    k = jnp.arange(4000.0)
    for eta, r in [(3.0, 0.3), (1.0, 40.0), (-2.0, 1.0)]:
        total = np.exp(negative_binomial_log_prob(k, jnp.array(eta), jnp.array(r)))
        np.testing.assert_allclose(total.sum(), 1.0, rtol=1e-10)
    total = np.exp(poisson_log_prob(k, jnp.array(3.0))).sum()
    np.testing.assert_allclose(total, 1.0, rtol=1e-10)


# Draws


@pytest.mark.parametrize(
    "fn",
    [
        LogPoisson(jnp.log(jnp.array([0.3, 30.0]))),
        LogNegativeBinomial(jnp.log(jnp.array([0.3, 30.0])), jnp.array([0.5, 3.0])),
    ],
)
def test_draws_have_mean_and_variance(fn, rng_key):
    draws = np.asarray(fn.sample(rng_key, (40_000,)), float)
    assert np.all(
        np.abs(draws.mean(0) - fn.mean) <= 4.5 * draws.std(0) / len(draws) ** 0.5
    )
    squares = (draws - fn.mean) ** 2
    error = squares.std(0) / len(draws) ** 0.5
    assert np.all(np.abs(squares.mean(0) - fn.variance) <= 4.5 * error)


@pytest.mark.parametrize("log_mean", [-80.0, 20.0, 80.0])
def test_draws_are_counts_however_large_the_mean(log_mean, rng_key):
    for fn in LogPoisson(log_mean), LogNegativeBinomial(log_mean, 0.01):
        draws = fn.sample(rng_key, (100,))
        assert fn.support(draws).all()


def test_distributions_are_trees():
    fn = LogNegativeBinomial(jnp.arange(6.0).reshape(2, 3), jnp.ones(3))
    one = jax.tree.map(lambda leaf: leaf[1] if leaf.shape[0] == 2 else leaf, fn)
    both = fn.log_prob(jnp.array(4))
    np.testing.assert_allclose(one.log_prob(jnp.array(4)).squeeze(), both[1])


# Libraries


def log_mean(likelihood, eta, covariates):
    with handlers.seed(rng_seed=0):
        fn = likelihood(jnp.asarray(eta), covariates)
    return fn.base_dist.log_mean if hasattr(fn, "base_dist") else fn.log_mean


@pytest.mark.parametrize("make", LIKELIHOODS)
@pytest.mark.parametrize("shape", [(5,), (2, 3)])
def test_a_library_is_shared_out(make, shape, rng_key):
    """library · softmax over all entries of a row; with proportions off, library · exp."""
    likelihood = make(log_library="reads")
    outputs = () if not hasattr(make, "num_outputs") else (2,)
    eta = np.asarray(jax.random.normal(rng_key, (7, *shape, *outputs)))
    used = eta[..., 0] if outputs else eta
    library = {"reads": jnp.arange(7.0)}
    found = log_mean(likelihood, eta, library)
    flat = np.arange(7.0)[:, None] + log_softmax(used.reshape(7, -1), -1)
    np.testing.assert_allclose(np.reshape(found, (7, -1)), flat, atol=1e-5)
    totals = np.exp(found).reshape(7, -1).sum(-1)
    np.testing.assert_allclose(totals, np.exp(np.arange(7.0)), rtol=1e-5)
    offset = log_mean(dataclasses.replace(likelihood, proportions=False), eta, library)
    expected = np.arange(7.0)[:, None] + used.reshape(7, -1)
    np.testing.assert_allclose(np.reshape(offset, (7, -1)), expected, atol=1e-6)
    np.testing.assert_allclose(log_mean(make(), eta, {}), used)


@pytest.mark.parametrize("make", LIKELIHOODS)
@pytest.mark.parametrize(
    ("covariates", "said"),
    [
        ({}, r"log_library: .* covariate of the data \(none\), got 'reads'; pass"),
        ({"age": jnp.ones(7)}, r"\(age\), got 'reads'"),
        ({"reads": jnp.ones((7, 1))}, r"'reads' to have shape \(7,\), got \(7, 1\)"),
    ],
)
def test_a_library_that_is_not_there_is_refused(make, covariates, said):
    eta = jnp.ones((7, 3, 2) if hasattr(make, "num_outputs") else (7, 3))
    with pytest.raises(ValueError, match=said):
        make(log_library="reads")(eta, covariates)


# In a model


def fit(likelihoods, values, **kwargs):
    data = cs.MultimodalData.from_arrays(values, **kwargs)
    model = cs.multimodal_model(cs.standard_normal(2), likelihoods, cs.LinearDecoder)
    encoder = partial(cs.MLPEncoder, hidden=(), log1p=True)
    guide = cs.amortized_guide(2, encoder, cs.ProductOfExperts, 4)
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    return cs.fit(jax.random.key(0), svi, data, num_epochs=2, progress=False)


COUNTED = np.array([[0, 3], [1, 400], [7, 0]])


@pytest.mark.slow
def test_counts_train_with_a_library_and_missing_entries():
    """All three likelihoods, integers and floats."""
    x = {"p": COUNTED, "nb": COUNTED.astype(float), "zinb": COUNTED}
    mask = np.array([[True, True], [True, False], [True, True]])
    made = {n: f(log_library="reads") for n, f in zip(x, LIKELIHOODS, strict=True)}
    library = {"reads": np.log(COUNTED.sum(-1))}
    fitted = fit(made, x, covariates=library, entries=dict.fromkeys(x, mask))
    assert np.isfinite(fitted.history.bound).all()
    assert {"nb.concentration", "zinb.concentration"} <= set(fitted.params)


@pytest.mark.parametrize(
    ("make", "wrong"), list(zip(LIKELIHOODS, [0.5, -1.0, 1.5], strict=True))
)
def test_what_is_no_count_is_refused(make, wrong):
    x = COUNTED.astype(float)
    x[1, 0] = wrong
    with pytest.raises(ValueError, match=r"modality 'x', row 1: .* \w+, got"):
        fit(make(), {"x": x})


def test_standardised_counts_are_refused():
    x = cs.MultimodalData.from_arrays({"x": COUNTED.astype(float)}).standardize()
    with pytest.raises(ValueError, match=r"'x', row 0: .* LogPoisson, got"):
        fit(cs.PoissonLikelihood(), {"x": np.asarray(x.values["x"])})
