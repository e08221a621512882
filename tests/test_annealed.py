"""Annealed importance sampling, conditional likelihoods and their summary."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import SUBSETS
from test_likelihood_estimates import example, guide, model

import consilience as cs
from consilience.inference.likelihood import _Running, _summary

SCHEDULE = cs.AnnealingSchedule(64, 60, 4)


@pytest.mark.parametrize("factor", [0.6, 2.0])
def test_annealing_agrees_with_the_closed_form(factor, rng_key):
    """Every subset, incomplete rows; a guide too narrow and one too wide.

    Much narrower, and weights have heavy tails even so: the next test.
    """
    params, data, subset, exact = example(rng_key, factor, SUBSETS)
    programs = (model, guide, params, data, subset)
    found = cs.annealed_log_likelihood(rng_key, *programs, schedule=SCHEDULE)
    some = np.asarray(data.subset(subset)).any(-1)
    z = (np.asarray(found.value) - np.asarray(exact))[some]
    z = z / np.asarray(found.standard_error)[some]
    assert np.abs(z).max() <= 4.5
    assert z.std() > 0.4  # the errors are not too wide either
    np.testing.assert_array_equal(found.value[~some], 0.0)
    assert np.mean(found.effective_sample_size[some]) > 25


def test_annealing_mends_a_narrow_guide(rng_key):
    """Where importance sampling is flagged, and its own error says nothing."""
    params, data, subset, exact = example(rng_key, 0.3)
    programs = (model, guide, params, data, subset)
    plain = cs.log_likelihood(rng_key, *programs, num_samples=1000)
    found = cs.annealed_log_likelihood(rng_key, *programs, schedule=SCHEDULE)
    assert np.mean(np.asarray(plain.pareto_k) > 0.7) > 0.8
    ours, theirs = (np.abs(np.asarray(f.value - exact)).mean() for f in (found, plain))
    assert ours < 0.4 * theirs
    again = cs.annealed_log_likelihood(rng_key, *programs, schedule=SCHEDULE)
    np.testing.assert_array_equal(found.value, again.value)


def test_annealing_refuses_other_latents(rng_key):
    data = cs.MultimodalData.from_arrays({"a": np.ones((3, 2))})

    def positive(data, subset=None):
        with data.plate():
            z = numpyro.sample("z", dist.LogNormal(jnp.zeros(2), 1.0).to_event(1))
            if "a" in data.values and subset is None:
                cs.observe(data, "a", dist.Normal(z, 1.0), subset)

    def q(data, subset=None):
        with data.plate():
            numpyro.sample("z", dist.LogNormal(jnp.zeros(2), 1.0).to_event(1))

    with pytest.raises(ValueError, match="site 'z': expected a latent over all real"):
        cs.annealed_log_likelihood(rng_key, positive, q, {}, data)

    def shared(data, subset=None):
        loc = numpyro.sample("loc", dist.Normal(0.0, 1.0))
        with data.plate():
            numpyro.sample("z", dist.Normal(loc, jnp.ones(2)).to_event(1))

    def other(data, subset=None):
        loc = numpyro.sample("loc", dist.Normal(0.0, 1.0))
        with data.plate():
            z = numpyro.sample("z", dist.Normal(loc, jnp.ones(2)).to_event(1))
            cs.observe(data, "a", dist.Normal(z, 1.0), subset)

    with pytest.raises(
        ValueError, match=r"latents of rows only, for annealing, got .*loc"
    ):
        cs.annealed_log_likelihood(rng_key, other, shared, {}, data)


PAIRS = [
    (target, given)
    for target, given in itertools.product(SUBSETS, repeat=2)
    if any(target) and not np.any(np.array(target) & np.array(given))
]


def test_conditional_likelihoods_agree_with_the_closed_form(rng_key):
    """All 19 pairs of disjoint T and S, of incomplete rows."""
    params, rows, _, _ = example(rng_key, 1.3)
    data = rows.take(np.tile(np.arange(rows.size), len(PAIRS)))
    T, S = (
        jnp.repeat(jnp.array(side), rows.size, 0) for side in zip(*PAIRS, strict=True)
    )
    found = cs.conditional_log_likelihood(
        rng_key, model, guide, params, data, T, S, num_samples=1000
    )
    truth = params["truth"]
    exact = truth.log_likelihood(data, T | S) - truth.log_likelihood(data, S)
    assert np.all(np.abs(found.value - exact) <= 4.5 * found.standard_error + 1e-4)
    z = (np.asarray(found.value - exact) / found.standard_error)[
        np.asarray(found.counts)
    ]
    assert 0.7 <= z.std() <= 1.3
    nothing = ~np.asarray(data.subset(T)).any(-1)
    np.testing.assert_array_equal(found.value[nothing], 0.0)
    np.testing.assert_array_equal(found.counts, ~nothing)


def test_target_and_given_must_not_overlap(rng_key):
    params, data, _, _ = example(rng_key, 1.3)
    with pytest.raises(ValueError, match="no modality in both, got 'a' in row"):
        cs.conditional_log_likelihood(
            rng_key, model, guide, params, data, data.subset_of("a"), data.present
        )


def test_a_narrow_guide_is_flagged_and_a_good_one_is_not(rng_key):
    """With what to do; constant weights are no reason to warn."""
    for factor in (1.0, 1.3):
        params, data, subset, _ = example(rng_key, factor)
        found = cs.log_likelihood(rng_key, model, guide, params, data, subset)
        assert found.summary().unreliable == 0.0
    params, data, subset, _ = example(rng_key, 0.3)
    found = cs.log_likelihood(rng_key, model, guide, params, data, subset)
    with pytest.warns(UserWarning, match=r"k̂ > 0.67, .* in \d+ of 7 rows.*annealed"):
        summary = found.summary()
    assert summary.unreliable > 0.8
    few = cs.log_likelihood(rng_key, model, guide, params, data, num_samples=20)
    with pytest.warns(UserWarning, match="no k̂ with fewer than 30 samples"):
        few.summary()


def test_the_summary_is_of_the_rows():
    value, error = jnp.array([1.0, 2.0, 6.0]), jnp.array([0.3, 0.4, 0.0])
    found = cs.LogLikelihood(value, error, jnp.array([9.0, 5.0, 7.0]), -jnp.ones(3))
    summary = found.summary()
    assert summary.mean == pytest.approx(3.0)
    assert summary.standard_error == pytest.approx(np.std([1, 2, 6], ddof=1) / 3**0.5)
    assert summary.monte_carlo_error == pytest.approx(0.5 / 3)
    assert (summary.smallest_sample_size, summary.rows) == (5.0, 3)


def test_rows_without_what_was_asked_for_do_not_count(rng_key):
    """log p(a | c): the mean is over rows that have a."""
    params, data, _, _ = example(rng_key, 1.3)
    T, S = data.subset_of("a"), data.subset_of("c")
    found = cs.conditional_log_likelihood(
        rng_key, model, guide, params, data, T, S, num_samples=100
    )
    has = np.asarray(data.present[:, 0])
    assert 0 < has.sum() < len(has)
    summary = found.summary()
    assert summary.mean == pytest.approx(np.asarray(found.value)[has].mean(), rel=1e-6)
    assert (summary.rows, summary.left_out) == (has.sum(), (~has).sum())
    assert cs.elpd(found).n_data_points == has.sum()
    none = found._replace(counts=jnp.zeros(data.size, bool))
    with pytest.raises(
        ValueError, match="expected rows that have any of what was asked"
    ):
        none.summary()


def test_sums_of_far_weights_do_not_stall():
    """At log p = −40 000 all is as at 0, up to the rounding of the weights themselves."""
    log_w = np.random.default_rng(0).normal(0.0, 0.5, (2000, 50, 3)).astype(np.float32)

    def summed(shift):
        def step(running, block):
            return running.add(block), None

        blocks = jnp.asarray(log_w + np.float32(shift))
        empty = _Running.empty(100_000, 50, 3)
        return _summary(jax.lax.scan(step, empty, blocks)[0].sorted(), 100_000)

    near, far = (
        jax.jit(summed, static_argnums=0)(0.0),
        jax.jit(summed, static_argnums=0)(-40_000.0),
    )
    exact = np.log(np.exp(log_w.astype(float)).mean((0, 1)))
    np.testing.assert_allclose(near.value, exact, atol=1e-5)
    np.testing.assert_allclose(far.value + 40_000, exact, atol=5e-3)  # ulp: 0.004
    for field in ("standard_error", "effective_sample_size"):
        np.testing.assert_allclose(getattr(far, field), getattr(near, field), rtol=1e-3)
