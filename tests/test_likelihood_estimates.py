"""Importance-sampled log-likelihoods against the closed form of linear Gaussian models."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import SUBSETS, incomplete, linear_gaussian

import consilience as cs
from consilience.inference.likelihood import _rows
from consilience.nn.executables import Program


def model(data, subset=None):
    """A linear Gaussian model held by the parameters: several models, one program."""
    numpyro.param("truth", None)(data, subset)


def guide(data, subset=None):
    """Its posterior with all standard deviations multiplied by a factor."""
    exact = numpyro.param("truth", None).posterior(data, data.subset(subset))
    scale_tril = numpyro.param("factor", 1.0) * exact.scale_tril
    with data.plate():
        numpyro.sample("z", dist.MultivariateNormal(exact.loc, scale_tril=scale_tril))


exact_value = jax.jit(lambda truth, data, subset: truth.log_likelihood(data, subset))


def example(rng_key, factor, subsets=((True,) * 3,)):
    """Parameters, incomplete rows (once for each subset), subsets, exact values."""
    truth = linear_gaussian(rng_key)
    data = incomplete(rng_key, truth)
    assert data.entries
    assert not data.present.all()
    subset = jnp.repeat(jnp.array(subsets), data.size, 0)
    data = data.take(np.tile(np.arange(data.size), len(subsets)))
    params = {"truth": truth, "factor": jnp.array(factor)}
    return params, data, subset, exact_value(truth, data, subset)


# Rows and samples in one piece, and in pieces of which the last is not full.
SIZES = {
    "whole": {"num_samples": 1000},
    "pieces": {"num_samples": 1030, "chunk_size": 13, "samples_at_once": 200},
}


@pytest.mark.parametrize(("seed", "sizes"), [(0, "whole"), (1, "whole"), (2, "pieces")])
def test_value_within_its_standard_error_for_every_subset(seed, sizes):
    key = jax.random.key(seed)
    params, data, subset, exact = example(key, 1.3, SUBSETS)
    got = cs.log_likelihood(key, model, guide, params, data, subset, **SIZES[sizes])
    assert np.all(np.abs(got.value - exact) <= 4 * got.standard_error + 1e-4)
    empty, K = ~np.asarray(data.subset(subset)).any(-1), SIZES[sizes]["num_samples"]
    np.testing.assert_array_equal(got.value[empty], 0.0)
    np.testing.assert_array_equal(got.standard_error[empty], 0.0)
    np.testing.assert_array_equal(got.effective_sample_size[empty], K)
    np.testing.assert_array_equal(got.pareto_k[empty], -np.inf)
    assert np.all(got.standard_error[~empty] > 1e-3)
    assert np.all(got.effective_sample_size[~empty] < 0.95 * K)
    assert np.all(got.pareto_k[~empty] < 0.5)


@pytest.mark.parametrize("sizes", SIZES)
def test_exact_proposal_has_constant_weights(sizes, rng_key):
    params, data, subset, exact = example(rng_key, 1.0, SUBSETS)
    sizes = SIZES[sizes]
    got = cs.log_likelihood(rng_key, model, guide, params, data, subset, **sizes)
    np.testing.assert_allclose(got.value, exact, atol=1e-4)
    np.testing.assert_allclose(
        got.effective_sample_size, sizes["num_samples"], rtol=1e-5
    )
    np.testing.assert_allclose(got.standard_error, 0.0, atol=2e-4)
    np.testing.assert_array_equal(got.pareto_k, -np.inf)


def test_standard_errors_cover(rng_key):
    """Two of them hold the truth in 95.4 % of 200 keys and 7 rows, up to binomial noise."""
    params, data, _, exact = example(rng_key, 1.3)
    estimate = partial(cs.log_likelihood, num_samples=400, samples_at_once=400)
    over_keys = jax.vmap(lambda key: estimate(key, model, guide, params, data))
    got = jax.jit(over_keys)(jax.random.split(rng_key, 200))
    within = np.abs(got.value - exact) <= 2 * got.standard_error
    share = 0.9545
    assert abs(within.mean() - share) <= 4.5 * np.sqrt(
        share * (1 - share) / within.size
    )
    # and they are the estimate's own standard deviation
    ratio = got.value.std(0) / got.standard_error.mean(0)
    np.testing.assert_allclose(ratio, 1.0, atol=4.5 / np.sqrt(2 * 200))


def test_too_narrow_proposal_is_flagged(rng_key):
    """Weights of N(0, 1) under N(0, c²) have the tail k = 1 − c²."""
    params, data, subset, _ = example(rng_key, 0.15, SUBSETS)
    got = cs.log_likelihood(rng_key, model, guide, params, data, subset)
    some = np.asarray(data.subset(subset)).any(-1)
    k = np.asarray(got.pareto_k[some])
    assert k.mean() - 0.7 >= 4.5 * k.std() / np.sqrt(k.size)
    assert np.mean(k > 0.7) > 0.8
    assert np.all(got.effective_sample_size[some] < 300)


def test_standardised_data_give_the_density_of_the_first_units(rng_key):
    truth = linear_gaussian(rng_key)
    first = incomplete(rng_key, truth)
    data = first.standardize()

    def back(data):
        values = data.unstandardize(data.values)
        return dataclasses.replace(data, values=values, standardization=None)

    def standardised_model(data, subset=None):
        """x' = (x − loc) / scale of a linear Gaussian x."""
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(2), 1.0).to_event(1))
            for name in data.names:
                loc = data.standardization.loc[name]
                scale = data.standardization.scale[name]
                mean = z @ truth.loadings[name].T + truth.biases[name]
                p_x = dist.Normal((mean - loc) / scale, truth.scale / scale)
                cs.observe(data, name, p_x, subset)

    def standardised_guide(data, subset=None):
        with data.plate():
            numpyro.sample("z", truth.posterior(back(data), data.subset(subset)))

    for subset in (None, first.subset_of("a", "c")):
        got = cs.log_likelihood(
            rng_key,
            standardised_model,
            standardised_guide,
            {},
            data,
            subset,
            num_samples=40,
        )
        exact = exact_value(truth, first, first.subset(subset))
        np.testing.assert_allclose(got.value, exact, atol=1e-4)


REFUSED = [
    ({"num_samples": 0}, "num_samples: expected a positive integer, got 0"),
    ({"num_samples": 10.0}, r"num_samples: .* got 10\.0"),
    ({"chunk_size": -1}, "chunk_size: expected a positive integer, got -1"),
    ({"samples_at_once": 0}, "samples_at_once: expected a positive integer, got 0"),
    (
        {"subset": np.ones((7, 2), bool)},
        r"subset: expected booleans of shape \(7, 3\), got bool of shape \(7, 2\)",
    ),
    (
        {"subset": np.ones((7, 3))},
        r"subset: expected booleans .* got float64 .*data\.subset_of",
    ),
    ({"subset": ("a", "b")}, r"subset: expected booleans .* got <U1 .*data\.subset_of"),
]


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(("wrong", "match"), REFUSED)
def test_refusals(wrong, match, rng_key):
    params, data, *_ = example(rng_key, 1.0)
    with pytest.raises(ValueError, match=match):
        cs.log_likelihood(rng_key, model, guide, params, data, **wrong)


def test_memory_does_not_hold_the_samples(rng_key):
    """XLA's own count for a chunk of 500 rows: 100 times K takes the longer tail more."""
    truth = linear_gaussian(rng_key, latent_dim=10)
    data, _ = truth.simulate(rng_key, 500)
    params = {"truth": truth, "factor": jnp.ones(())}

    def temporary(num_samples):
        sizes = (num_samples // 100, 100, 0)
        program = Program(partial(_rows, model, guide, sizes))
        compiled = program.lower(rng_key, params, data, data.present).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    few, many = temporary(1000), temporary(100_000)
    assert many < 200e6
    assert many - few < 3 * 2 * 949 * 500 * 4  # largest and waiting weights, sorted
