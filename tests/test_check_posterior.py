"""The amortised posterior against NUTS, and NUTS against closed forms."""

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import pytest
from examples import SUBSETS, exact_guide, incomplete, linear_gaussian
from scipy import stats

import consilience as cs
from consilience.evaluation.distances import energy_distance, sliced_wasserstein

CHAINS = cs.Chains(num_chains=4, num_warmup=300, num_samples=500)


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(2))


def off_guide(truth, shift, factor):
    """The exact posterior, means off by `shift` standard deviations, scales by `factor`."""

    def guide(data, subset=None):
        q = truth.posterior(data, data.subset(subset))
        loc = q.loc + shift * jnp.sqrt(q.variance)
        with data.plate():
            numpyro.sample(
                "z", dist.MultivariateNormal(loc, scale_tril=factor * q.scale_tril)
            )

    return guide


@pytest.fixture(scope="module")
def rows(truth):
    """Every subset of three rows; missing modalities and entries."""
    data = incomplete(jax.random.key(3), truth, 3)
    repeated = data.take(np.repeat(np.arange(3), len(SUBSETS)))
    return repeated, jnp.array(SUBSETS * 3)


def test_nuts_has_the_moments_of_the_closed_form(truth, rows, rng_key):
    data, subset = rows
    found = cs.reference_posterior(rng_key, truth, {}, data, subset, chains=CHAINS)
    exact = truth.posterior(data, data.subset(subset))
    assert found.dimensions == ("z[0]", "z[1]")
    assert found.draws.shape == (24, 4, 500, 2)
    draws = found.draws.reshape(24, -1, 2)
    error = np.sqrt(exact.variance / found.effective_sample_size)
    assert np.all(np.abs(draws.mean(1) - exact.loc) <= 4.5 * error)
    assert found.r_hat.max() < 1.05
    assert found.divergences.max() == 0


@pytest.mark.parametrize(("shift", "factor"), [(0.0, 1.0), (0.5, 0.6)])
def test_errors_are_those_that_were_made(shift, factor, truth, rows, rng_key):
    """Within 4.5 standard errors, whose z-scores are of size 1."""
    guide = off_guide(truth, shift, factor)
    found = cs.check_posterior(rng_key, truth, guide, {}, *rows, chains=CHAINS)
    z = (found.mean_error - shift) / found.mean_standard_error
    y = (found.scale_error - np.log(factor)) / found.scale_standard_error
    for scores in (z, y):
        assert np.abs(scores).max() <= 4.5
        assert 0.6 <= scores.std() <= 1.4
    for distance in (found.energy, found.sliced_wasserstein):
        above = distance.value > distance.floor
        # exact: one in twenty of 24 rows, at most 6 with probability 0.9999
        assert above.all() if shift else above.sum() <= 6
    table = found.to_pandas()
    assert list(table.index) == ["z[0]", "z[1]"]


def test_distances_of_normals_in_one_dimension_are_the_closed_forms(rng_key):
    """E|N(m, v)| is known; W₂ of two Normals is √((μ−μ')² + (σ−σ')²)."""
    keys, count = jax.random.split(rng_key, 3), 4000
    x = jax.random.normal(keys[0], (count, 1))
    y = 0.8 + 0.5 * jax.random.normal(keys[1], (count, 1))
    absolute = lambda m, v: stats.foldnorm(m / v**0.5, scale=v**0.5).mean()  # noqa: E731
    exact = 2 * absolute(0.8, 1.25) - absolute(0.0, 2.0) - absolute(0.0, 0.5)
    assert float(energy_distance(x, y)) == pytest.approx(exact, abs=0.04)
    found = sliced_wasserstein(keys[2], x, y)
    assert float(found) == pytest.approx(np.hypot(0.8, 0.5), abs=0.06)
    small, other = np.asarray(x[:40], float), np.asarray(y[:30], float)
    pairs = lambda a, b: np.abs(a[:, None] - b[None])[..., 0]  # noqa: E731
    slow = 2 * pairs(small, other).mean() - sum(
        pairs(a, a).sum() / (len(a) * (len(a) - 1)) for a in (small, other)
    )
    assert float(energy_distance(x[:40], y[:30])) == pytest.approx(slow, rel=1e-4)


def test_sliced_wasserstein_averages_over_directions(rng_key):
    """A shift by 3 along one of four axes: mean of 9 u₁² over the sphere is 9 / 4."""
    x = jax.random.normal(rng_key, (50, 4))
    moved = x + jnp.array([3.0, 0.0, 0.0, 0.0])
    found = sliced_wasserstein(rng_key, x, moved, num_directions=20_000)
    assert float(found) == pytest.approx(1.5, abs=0.03)


def test_private_latents_and_trained_programs_are_compared_by_name(rng_key):
    data = cs.MultimodalData.from_arrays({"a": np.ones((2, 2)), "b": np.ones((2, 3))})
    model = cs.shared_private_model(cs.standard_normal(2), 1, cs.NormalLikelihood())
    guide = cs.shared_private_guide(2, 1)
    with numpyro.handlers.seed(rng_seed=0):
        tm = numpyro.handlers.trace(model).get_trace(data)
        tg = numpyro.handlers.trace(guide).get_trace(data)
    both = {**tm, **tg}
    params = {n: s["value"] for n, s in both.items() if s["type"] == "param"}
    chains = cs.Chains(2, 100, 100, chunk_size=1)
    found = cs.check_posterior(rng_key, model, guide, params, data, chains=chains)
    names = found.reference.dimensions
    assert sorted(names) == ["w[0, 0]", "w[1, 0]", "z[0]", "z[1]"]
    assert found.guide.shape == (2, 2000, 4)


def test_what_cannot_be_compared_is_refused(truth, rng_key):
    data, _ = truth.simulate(rng_key, 2)
    programs = (truth, exact_guide(truth), {})
    with pytest.raises(ValueError, match="chains: expected num_chains of 2 or more"):
        cs.check_posterior(rng_key, *programs, data, chains=cs.Chains(1))
    with pytest.raises(ValueError, match="num_samples: expected 2 or more, got 1"):
        cs.check_posterior(rng_key, *programs, data, num_samples=1)

    def shared(data, subset=None):
        loc = numpyro.sample("loc", dist.Normal(0.0, 1.0))
        with data.plate():
            numpyro.sample("z", dist.Normal(loc, jnp.ones(2)).to_event(1))

    with pytest.raises(ValueError, match=r"latents of rows only, .* the global loc"):
        cs.reference_posterior(rng_key, shared, {}, data)


def test_chains_that_disagree_are_said_to(truth, rng_key):
    data, _ = truth.simulate(rng_key, 2)
    with pytest.warns(UserWarning, match=r"r̂ > 1.05 in \d"):
        cs.reference_posterior(rng_key, truth, {}, data, chains=cs.Chains(2, 1, 6))
