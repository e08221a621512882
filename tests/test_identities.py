"""Identities between bounds, and exact values on models whose posterior is known."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from bounds import LATENT, ROWS, TRUTH_SCALE, method_for, rows_of, started
from examples import WIDTHS, exact_guide, incomplete, linear_gaussian
from numpyro.infer import SVI

import consilience as cs


@pytest.fixture
def data(rng_key):
    return incomplete(rng_key, linear_gaussian(rng_key), ROWS)


# Exact posteriors.


def exact(rng_key, elbo, truth=None, data=None, guide=None):
    truth = truth or linear_gaussian(rng_key)
    data = incomplete(rng_key, truth) if data is None else data
    method = cs.Method(truth, guide or exact_guide(truth), elbo)
    return rows_of(method, {}, data, rng_key), np.asarray(truth.log_likelihood(data))


ALL = cs.Fixed((True, True, True))


@pytest.mark.parametrize(
    "elbo",
    [
        cs.MixtureELBO(subsets=ALL),
        cs.MaskedELBO(subsets=ALL),
        cs.MaskedELBO(subsets=cs.Fixed((False, False, False))),
        cs.MaskedELBO(exhaustive=True),
        cs.MaskedELBO(subsets=cs.UniformNonEmpty(), exhaustive=True),
        cs.InterpolatedTotalCorrelationELBO(0.0),
        cs.ImportanceWeightedELBO(3),
        cs.ImportanceWeightedMaskedELBO(3),
        cs.ImportanceWeightedMaskedELBO(3, joint=True),
    ],
    ids=lambda elbo: type(elbo).__name__,
)
def test_exact_posteriors_give_the_log_likelihood(elbo, rng_key):
    """To rounding, at every draw: log p(x_O) of each row."""
    found, expected = exact(rng_key, elbo)
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_sub_sampled_bounds_are_exact_sums(rng_key):
    """log p(x_O) + Σ_s log p(x_s) at exact posteriors, k = 0."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    found, expected = exact(rng_key, cs.SubsampledELBO(0), truth, data)
    for name in data.names:
        expected = expected + truth.log_likelihood(data, data.subset_of(name))
    np.testing.assert_allclose(found, expected, atol=3e-4)


def test_total_correlation_at_exact_posteriors(rng_key):
    """E log p(x|z) − KL(q(z|x) ‖ q(z|x_S)) = log p(x_O) − log p(x_S) + E log p(x_S|z).

    So at S = ∅ it is the ordinary bound, exact.
    """
    law = cs.Fixed((False, False, False))
    found, expected = exact(rng_key, cs.TotalCorrelationELBO(subsets=law))
    np.testing.assert_allclose(found, expected, atol=2e-4)


@pytest.mark.parametrize("beta", [0.25, 1.0, 3.0])
def test_beta_is_noise_of_linear_models(beta, rng_key):
    """L_S + L_\\S = β log p'(x) + const at the posteriors of the model with noise βσ²."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    noisy = cs.LinearGaussian(truth.loadings, truth.biases, truth.scale * beta**0.5)
    count = sum(np.asarray(data.observed(n)).sum(-1) for n in data.names)
    per_entry = beta * np.log(2 * np.pi * beta * truth.scale**2)
    constant = 0.5 * count * (per_entry - np.log(2 * np.pi * truth.scale**2))
    expected = beta * np.asarray(noisy.log_likelihood(data)) + constant
    elbo = cs.MaskedELBO(beta=beta)
    found, _ = exact(rng_key, elbo, truth, data, exact_guide(noisy))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_exhaustive_is_the_mean_over_drawn_subsets(data, rng_key):
    """Within 4.5 standard errors of 4000 keys, for each row, closed-form rates."""
    settings = {"subsets": cs.UniformNonEmpty(), "estimator": cs.AnalyticKL()}
    for bound in ("masked", "mixture", "total_correlation"):
        whole = method_for(bound, exhaustive=True, **settings)
        drawn = method_for(bound, **settings)
        params = started(drawn, data, rng_key)
        keys = jax.random.split(rng_key, 4000)
        means = []
        for method in (whole, drawn):
            programs = (params, method.model, method.guide, data)
            rows = jax.vmap(lambda k, m=method, p=programs: m.elbo.rows(k, *p)[0])
            values = np.asarray(jax.jit(rows)(keys), float)
            means.append((values.mean(0), values.var(0) / len(keys)))
        (a, u), (b, v) = means
        assert np.all(np.abs(a - b) <= 4.5 * np.sqrt(u + v)), bound


# Importance weighting.


def off_guide(truth):
    """The exact posterior, twice as wide."""

    def guide(data, subset=None):
        q = truth.posterior(data, data.subset(subset))
        with data.plate():
            wide = dist.MultivariateNormal(q.loc + 0.3, scale_tril=2 * q.scale_tril)
            numpyro.sample("z", wide)

    return guide


@pytest.mark.parametrize(
    "bound", [cs.ImportanceWeightedELBO, cs.ImportanceWeightedMaskedELBO]
)
def test_more_samples_tighten_the_bound(bound, rng_key):
    """Non-decreasing in K within 4.5 standard errors, and the last far above the first.

    The plain form stays below log p(x).
    """
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    settings = (
        {"subsets": cs.Fixed((True, False, False))}
        if "Masked" in bound.__name__
        else {}
    )
    keys, found = jax.random.split(rng_key, 1000), []
    for K in (1, 2, 4, 8, 32):
        elbo = bound(K, **settings)
        programs = ({}, truth, off_guide(truth), data)
        total = jax.vmap(lambda k, e=elbo, p=programs: e.rows(k, *p)[0].sum())
        values = np.asarray(jax.jit(total)(keys), float)
        found.append((values.mean(), values.std() / len(keys) ** 0.5))
    for (low, e), (high, f) in itertools.pairwise(found):
        assert high >= low - 4.5 * np.hypot(e, f)
    assert found[-1][0] > found[0][0] + 10 * found[0][1]
    if bound is cs.ImportanceWeightedELBO:
        assert (
            found[-1][0] <= float(truth.log_likelihood(data).sum()) + 4.5 * found[-1][1]
        )


def test_one_sample_is_the_masked_bound(rng_key):
    """K = 1: the same mean; joint or not, the same value."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    law = {"subsets": cs.Fixed((True, False, False))}
    guide = off_guide(truth)
    one, _ = exact(
        rng_key, cs.ImportanceWeightedMaskedELBO(1, **law), truth, data, guide
    )
    joint = cs.ImportanceWeightedMaskedELBO(1, joint=True, **law)
    np.testing.assert_allclose(
        exact(rng_key, joint, truth, data, guide)[0], one, rtol=1e-5
    )
    plain, _ = exact(rng_key, cs.MaskedELBO(**law), truth, data, guide)
    np.testing.assert_allclose(plain, one, rtol=1e-5)


def test_joint_weights_are_products_and_looser(rng_key):
    """E log mean w_S w_\\S ≤ E log mean w_S + E log mean w_\\S for independent draws."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    keys, means = jax.random.split(rng_key, 2000), []
    for joint in (True, False):
        elbo = cs.ImportanceWeightedMaskedELBO(
            4, joint=joint, subsets=cs.Fixed((True, False, False))
        )
        programs = ({}, truth, off_guide(truth), data)
        rows = jax.vmap(lambda k, e=elbo, p=programs: e.rows(k, *p)[0].sum())
        values = np.asarray(jax.jit(rows)(keys))
        means.append((values.mean(), values.std() / len(keys) ** 0.5))
    (low, e), (high, f) = means
    assert low < high - 4.5 * np.hypot(e, f)


# Mixtures of experts and of products.


def test_mixture_of_products_with_single_modalities_is_the_mixture_of_experts(
    data, rng_key
):
    """ρ = one modality: the same bound from a product without prior expert and a mixture.

    Both hold experts N(m_s, v_s) of a table; means over 4000 keys within 4.5 s.e.
    """
    key_loc, key_scale = jax.random.split(rng_key)
    loc = jax.random.normal(key_loc, (ROWS, 3, LATENT))
    scale = jnp.exp(0.3 * jax.random.normal(key_scale, loc.shape))

    def product(data, subset=None):
        precision = jnp.where(data.subset(subset)[..., None], scale**-2, 0.0)
        total = precision.sum(1)
        empty = total == 0
        total = jnp.where(empty, 1.0, total)
        with data.plate():
            mean = (precision * loc).sum(1) / total
            numpyro.sample("z", dist.Normal(mean, total**-0.5).to_event(1))

    def mixture(data, subset=None):
        lowest = jnp.finfo(loc.dtype).min
        logits = jnp.where(data.subset(subset), 0.0, lowest)
        parts = dist.Normal(loc, scale).to_event(1)
        with data.plate():
            law = cs.ReparameterizedMixture(dist.Categorical(logits=logits), parts)
            numpyro.sample("z", law)

    model = linear_gaussian(rng_key)
    settings = {"subsets": cs.Unimodal(), "exhaustive": True}
    keys, means = jax.random.split(rng_key, 4000), []
    for guide in (product, mixture):
        elbo = cs.MixtureELBO(**settings)
        rows = jax.vmap(lambda k, e=elbo, g=guide: e.rows(k, {}, model, g, data)[0])
        values = np.asarray(jax.jit(rows)(keys), float)
        means.append((values.mean(0), values.var(0) / len(keys)))
    (a, u), (b, v) = means
    assert np.all(np.abs(a - b) <= 4.5 * np.sqrt(u + v))


# The optimum of the mixture bound.


def optimum(truth, x, beta):
    """Mean map `[D, d]` and covariance of the best q(z | x_a), for centred data x.

    Λ = I + W Wᵀ / (βσ²), and x_b is replaced by its regression on x_a.
    """
    A, B = (np.asarray(truth.loadings[n], float) for n in "ab")
    W = np.concatenate([A, B])
    noise = beta * float(truth.scale) ** 2
    covariance = np.linalg.inv(np.eye(W.shape[1]) + W.T @ W / noise)
    regression = np.linalg.lstsq(x["a"], x["b"], rcond=None)[0].T
    return covariance @ (A.T + B.T @ regression) / noise, covariance


@pytest.mark.slow
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_the_optimum_of_the_mixture_bound(beta, rng_key):
    """A full-covariance guide, trained, has the closed form's mean and covariance."""
    key_truth, key_data, key_fit = jax.random.split(rng_key, 3)
    loadings = {
        n: v for n, v in linear_gaussian(key_truth).loadings.items() if n != "c"
    }
    zero = {n: jnp.zeros(len(W)) for n, W in loadings.items()}
    truth = cs.LinearGaussian(loadings, zero, TRUTH_SCALE)
    data, _ = truth.simulate(key_data, 2000)

    def guide(data, subset=None):
        gain = numpyro.param("gain", jnp.zeros((LATENT, WIDTHS["a"])))
        tril = numpyro.param(
            "tril", jnp.eye(LATENT), constraint=dist.constraints.lower_cholesky
        )
        with data.plate():
            mean = data.filled("a") @ gain.T
            numpyro.sample("z", dist.MultivariateNormal(mean, scale_tril=tril))

    elbo = cs.MixtureELBO(
        beta=beta, subsets=cs.Fixed((True, False)), estimator=cs.AnalyticKL()
    )
    svi = SVI(truth, guide, optax.adam(optax.cosine_decay_schedule(0.03, 1500)), elbo)
    fitted = cs.fit(
        key_fit, svi, data, num_epochs=1500, batch_size=2000, progress=False
    )
    x = {n: np.asarray(v, float) for n, v in data.values.items()}
    gain, covariance = optimum(truth, x, beta)
    tril = np.asarray(fitted.params["tril"])
    np.testing.assert_allclose(fitted.params["gain"], gain, atol=0.01)
    np.testing.assert_allclose(tril @ tril.T, covariance, atol=0.01)


def test_the_gap_of_the_mixture_bound_and_its_inequality(rng_key):
    """At its optimum: log p(x) − L = ½ tr(W_\\S K_S⁻¹ W_\\Sᵀ) on the average.

    And L + H(x_\\S | x_S) ≤ log p(x_S).
    """
    truth = linear_gaussian(rng_key)
    data, _ = truth.simulate(rng_key, 20_000)
    subset = data.subset_of("a")
    sigma = float(truth.scale)
    W = {n: np.asarray(v, float) for n, v in truth.loadings.items()}
    rest = np.concatenate([W["b"], W["c"]])
    K = W["a"].T @ W["a"] + sigma**2 * np.eye(LATENT)
    gap = 0.5 * np.trace(rest @ np.linalg.solve(K, rest.T))

    def guide(data, given=None):
        mean = truth.posterior(data, subset).loc
        covariance = truth.posterior(data, data.present).covariance_matrix
        with data.plate():
            numpyro.sample("z", dist.MultivariateNormal(mean, covariance))

    elbo = cs.MixtureELBO(
        subsets=cs.Fixed((True, False, False)), estimator=cs.AnalyticKL()
    )
    found, log_p = exact(rng_key, elbo, truth, data, guide)
    difference = log_p - found
    error = difference.std() / len(difference) ** 0.5
    assert abs(difference.mean() - gap) <= 4.5 * error
    given = rest @ (sigma**2 * np.linalg.inv(K)) @ rest.T + sigma**2 * np.eye(len(rest))
    entropy = 0.5 * np.linalg.slogdet(2 * np.pi * np.e * given)[1]
    margin = np.asarray(truth.log_likelihood(data, subset)) - found - entropy
    assert margin.mean() >= -4.5 * margin.std() / len(margin) ** 0.5
