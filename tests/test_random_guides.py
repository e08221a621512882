"""Guides that are random given their parameters: draw and density are of one call."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import linear_gaussian

import consilience as cs
from consilience.inference.conditional_vamp import conditional_vamp
from consilience.inference.estimators import AnalyticKL, Pathwise

TWO = partial(cs.MixtureOfProductsOfExperts, max_components=2)
GUIDE = cs.amortized_guide(2, aggregation=TWO, num_features=8)


@pytest.fixture(scope="module")
def example():
    """A linear Gaussian model, rows of it, its exact log-likelihoods, guide parameters."""
    key = jax.random.key(0)
    truth = linear_gaussian(key)
    data, _ = truth.simulate(key, 3)
    trace = numpyro.handlers.trace(numpyro.handlers.seed(GUIDE, key)).get_trace(data)
    params = {n: s["value"] for n, s in trace.items() if s["type"] == "param"}
    return truth, data, params, np.asarray(truth.log_likelihood(data))


def plain(key, *programs):
    return cs.log_likelihood(key, *programs, num_samples=20_000)


def annealed(key, *programs):
    schedule = cs.AnnealingSchedule(2000, 1, 1)
    return cs.annealed_log_likelihood(key, *programs, schedule=schedule)


def slowly(key, *programs):
    schedule = cs.AnnealingSchedule(400, 10, 3)
    return cs.annealed_log_likelihood(key, *programs, schedule=schedule)


@pytest.mark.parametrize("estimate", [annealed, slowly, plain])
def test_likelihoods_agree_with_the_closed_form(estimate, example, rng_key):
    truth, data, params, exact = example
    found = estimate(rng_key, truth, GUIDE, params, data)
    assert np.all(np.abs(found.value - exact) <= 4.5 * found.standard_error)
    assert np.all(found.standard_error < 0.5)  # or it would say nothing


AWAY = 3.0


def model(data, subset=None):
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(1), 1.0).to_event(1))
        w = numpyro.sample("w", dist.Normal(jnp.zeros(1), 1.0).to_event(1))
        cs.observe(data, "x", dist.Normal(z + w, 1.0), subset)


def guide(data, subset=None):
    """Each row's w lies around 0 or `AWAY`, by a toss of the guide's own."""
    present = data.subset(subset)
    with data.plate():
        z = numpyro.sample("z", dist.Normal(jnp.zeros(1), 1.0).to_event(1))
        side = jax.random.bernoulli(numpyro.prng_key(), 0.5, (len(present), 1))
        numpyro.sample("w", dist.Normal(AWAY * side + 0 * z, 1.0).to_event(1))


@pytest.mark.parametrize("estimator", [Pathwise(), cs.STL(), AnalyticKL()])
def test_later_sites_have_the_density_that_they_are_drawn_from(estimator, rng_key):
    """E KL(q(w) ‖ p(w)) = AWAY² / 4, and −½ E (x − z − w)² of the reconstruction."""
    x = np.zeros((4000, 1))
    data = cs.MultimodalData.from_arrays({"x": x})
    bound = cs.MixtureELBO(estimator=estimator)
    rows, _ = bound.rows(rng_key, {}, model, guide, data)
    rows = np.asarray(rows)
    error = rows.std() / np.sqrt(len(rows))
    residual = 2 + AWAY**2 / 2
    exact = -0.5 * (np.log(2 * np.pi) + residual) - AWAY**2 / 4
    assert abs(rows.mean() - exact) <= 4.5 * error


def test_a_conditional_prior_draws_its_subsets_afresh(example, rng_key):
    _, data, params, _ = example
    prior = cs.vamp_prior(GUIDE, data)
    params = params | {p: data.values[n] for n, p in prior.parameters.items()}
    run = numpyro.handlers.substitute(numpyro.handlers.seed(GUIDE, rng_key), params)
    features = numpyro.handlers.trace(run).get_trace(data)["features"]["value"]
    given = (prior, params, features, data, data.subset_of("a"))
    z = jnp.zeros((data.size, 2))
    keys = jax.random.split(rng_key)
    one, other = (np.asarray(conditional_vamp(k, *given).log_prob(z)) for k in keys)
    assert np.all(one != other)
