"""Simulation-based calibration of guides."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import pytest
from examples import SUBSETS, exact_guide, incomplete, linear_gaussian
from numpyro.infer import SVI
from scipy import stats
from test_check_posterior import off_guide

import consilience as cs

NAMES = ("a", "b", "c")
ALL = [
    tuple(n for n, member in zip(NAMES, members, strict=True) if member)
    for members in SUBSETS
]


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(2))


def test_exact_posteriors_pass_for_every_subset_and_missingness(truth, rng_key):
    data = incomplete(rng_key, truth)
    found = cs.calibration(rng_key, truth, exact_guide(truth), {}, data, ALL)
    assert found.quantities == ("z[0]", "z[1]", "log p(x, z)")
    assert all(ranks.shape == (500, 3) for ranks in found.ranks.values())
    assert found.p_value() > 0.01
    p = found.p_values()
    assert list(p.index[:2]) == ["nothing", "c"]
    assert stats.kstest(p.to_numpy().ravel(), "uniform").pvalue > 1e-3


@pytest.mark.parametrize(
    ("shift", "factor"), [(0.3, 1.0), (0.0, 0.75), (0.0, 1.35)], ids=str
)
def test_what_is_off_is_found(shift, factor, truth, rng_key):
    """A mean off by 0.3 standard deviations, a quarter too narrow, a third too wide."""
    data, _ = truth.simulate(rng_key, 5)
    guide = off_guide(truth, shift, factor)
    found = cs.calibration(rng_key, truth, guide, {}, data, [NAMES, ("a",)])
    assert found.p_value() < 1e-4
    ranks = found.ranks[NAMES][:, 0] / 99
    assert (ranks.mean() < 0.47) == (shift > 0)
    if not shift:
        assert (ranks.var() > 1 / 12) == (factor < 1)


def test_the_joint_density_sees_correlations(truth, rng_key):
    """Marginals are exact, their correlation is missing: coordinates alone pass."""

    def guide(data, subset=None):
        q = truth.posterior(data, data.subset(subset))
        with data.plate():
            numpyro.sample("z", dist.Normal(q.loc, jnp.sqrt(q.variance)).to_event(1))

    data, _ = truth.simulate(rng_key, 5)
    found = cs.calibration(
        rng_key, truth, guide, {}, data, [("a",)], num_simulations=2000
    )
    p = found.p_values().iloc[0]
    assert p[["z[0]", "z[1]"]].min() > 1e-3
    assert p["log p(x, z)"] < 1e-6


def test_the_band_holds_uniform_ranks_as_often_as_it_says():
    """New samples, 2000 of them: 95 % within, up to 4 standard errors and ties."""
    lower, upper = cs.simultaneous_band(300, 99)
    u = np.random.default_rng(1).integers(0, 100, (2000, 300))
    ecdf = (u[..., None] <= np.arange(100)).mean(1)
    inside = ((lower <= ecdf) & (ecdf <= upper)).all(-1).mean()
    assert 0.95 - 0.03 <= inside <= 0.95 + 0.03


def test_ranks_count_draws_below(truth, rng_key):
    """The same key gives the same ranks; few draws give few ranks."""
    data, _ = truth.simulate(rng_key, 3)
    programs = (truth, exact_guide(truth), {}, data, [NAMES])
    sizes = {"num_simulations": 50, "num_ranks": 7}
    one, two = (cs.calibration(rng_key, *programs, **sizes) for _ in range(2))
    np.testing.assert_array_equal(one.ranks[NAMES], two.ranks[NAMES])
    assert set(np.unique(one.ranks[NAMES])) <= set(range(8))
    assert one.p_values().shape == (1, 3)


def test_what_cannot_be_is_refused(truth, rng_key, monkeypatch):
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)
    data, _ = truth.simulate(rng_key, 3)
    run = partial(cs.calibration, rng_key, truth, exact_guide(truth), {}, data)
    with pytest.raises(ValueError, match="subsets: expected one or more tuples"):
        run([])
    with pytest.raises(ValueError, match="subsets: expected tuples of names, got 'ab'"):
        run(["ab"])
    with pytest.raises(ValueError, match="subsets: expected each once"):
        run([NAMES, NAMES])
    with pytest.raises(ValueError, match="one of the modalities a, b, c, got 'x'"):
        run([("x",)])
    with pytest.raises(ValueError, match="num_ranks: expected a positive"):
        run([NAMES], num_ranks=0)


def orthogonal(rng_key, latent_dim=2):
    """A model whose posterior for any subset has independent coordinates."""
    loadings = {
        name: jnp.linalg.qr(jax.random.normal(key, (width, latent_dim)))[0]
        * jnp.array([1.5, 0.8])
        for key, (name, width) in zip(
            jax.random.split(rng_key, 3), {"a": 2, "b": 3, "c": 5}.items(), strict=True
        )
    }
    return cs.LinearGaussian(
        loadings, {n: jnp.zeros(len(W)) for n, W in loadings.items()}, 0.7
    )


def fitted_calibration(rng_key, aggregation, steps=3000):
    """A guide trained under the masked bound for a known model, and its calibration."""
    truth = orthogonal(jax.random.key(0))
    data, _ = truth.simulate(rng_key, 20_000)
    encoder = partial(cs.MLPEncoder, hidden=(32,))
    guide = cs.amortized_guide(2, encoder, aggregation, num_features=32)
    schedule = optax.cosine_decay_schedule(3e-3, steps)
    svi = SVI(truth, guide, optax.adam(schedule), cs.MaskedELBO())
    sizes = {"batch_size": 500, "num_epochs": steps * 500 // data.size}
    params = cs.fit(rng_key, svi, data, **sizes, progress=False).params
    return cs.calibration(rng_key, truth, guide, params, data.take(slice(5)), ALL)


@pytest.mark.long
@pytest.mark.slow
def test_a_fitted_guide_passes_where_its_family_holds_the_posterior(rng_key):
    """SumPooling for every subset; a mixture of experts cannot."""
    ours = fitted_calibration(rng_key, cs.SumPooling)
    assert ours.p_value() > 0.01, ours.p_values()
    other = fitted_calibration(rng_key, cs.MixtureOfExperts)
    assert other.p_value() < 1e-6
