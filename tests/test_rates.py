"""Rates and distortions against the closed forms of linear Gaussian models."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from examples import SUBSETS, exact_guide, incomplete, linear_gaussian

import consilience as cs

NAMES = ("a", "b", "c")
ROWS = 400


@pytest.fixture(scope="module")
def truth():
    return linear_gaussian(jax.random.key(5))


@pytest.fixture(scope="module")
def programs(truth):
    return truth, exact_guide(truth), {}


def named(members):
    return tuple(n for n, member in zip(NAMES, members, strict=True) if member)


@pytest.mark.parametrize("members", [s for s in SUBSETS if 0 < sum(s) < 3], ids=named)
def test_row_rates_average_to_the_closed_forms(members, truth, programs, rng_key):
    data, _ = truth.simulate(rng_key, ROWS)
    subset = jnp.broadcast_to(jnp.array(members), data.present.shape)
    found = cs.row_rates(rng_key, *programs, data, subset, num_samples=5).value
    S = named(members)
    expected = {
        "full_rate": truth.mutual_information(),
        "rate": truth.mutual_information(*S),
        "cross_rate": truth.mutual_information() - truth.mutual_information(*S),
    }
    for name, exact in expected.items():
        check_mean(getattr(found, name), exact)
    for target in NAMES:
        i = NAMES.index(target)
        check_mean(
            found.full_reconstruction[:, i], truth.reconstruction((target,), NAMES)
        )
        check_mean(found.reconstruction[:, i], truth.reconstruction((target,), S))


def check_mean(values, exact):
    values = np.asarray(values, float)
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean() - exact) <= 4 * error


def test_kl_terms_of_rows_have_no_noise_and_the_right_value(truth, programs, rng_key):
    """Incomplete rows and missing entries; the KL of two Normals, row by row."""
    data = incomplete(rng_key, truth)
    subset = data.subset_of("a", "c")
    found = cs.row_rates(rng_key, *programs, data, subset, num_samples=3)
    np.testing.assert_allclose(found.standard_error.cross_rate, 0.0, atol=1e-5)
    q, p = (truth.posterior(data, s) for s in (data.present, subset))
    for n in range(data.size):
        expected = slow_kl(
            q.loc[n], q.covariance_matrix[n], p.loc[n], p.covariance_matrix[n]
        )
        np.testing.assert_allclose(
            found.value.cross_rate[n], expected, rtol=1e-3, atol=1e-4
        )
        prior = slow_kl(q.loc[n], q.covariance_matrix[n], np.zeros(2), np.eye(2))
        np.testing.assert_allclose(found.value.full_rate[n], prior, rtol=1e-3)


def slow_kl(mean, covariance, other_mean, other_covariance):
    inverse = np.linalg.inv(np.asarray(other_covariance, float))
    gap = np.asarray(other_mean - mean, float)
    both = inverse @ np.asarray(covariance, float)
    return 0.5 * (
        np.trace(both) - np.linalg.slogdet(both)[1] - len(gap) + gap @ inverse @ gap
    )


def test_standard_errors_cover_the_closed_form(truth, programs, rng_key):
    """200 keys: E_{q(z|x_S)} log p(x_s | z) of each row is known exactly."""
    data, _ = truth.simulate(rng_key, 6)
    subset, exact = data.subset_of("a"), []
    q = truth.posterior(data, subset)
    for name, W in truth.loadings.items():
        residual = data.values[name] - truth.biases[name] - q.loc @ W.T
        spread = jnp.einsum("pd,nde,pe->n", W, q.covariance_matrix, W)
        square = (residual**2).sum(-1) + spread
        log_scale = jnp.log(2 * jnp.pi * truth.scale**2)
        exact.append(-0.5 * (square / truth.scale**2 + len(W) * log_scale))
    run = partial(cs.row_rates, num_samples=50)
    found = [
        run(key, *programs, data, subset) for key in jax.random.split(rng_key, 200)
    ]
    value = np.stack([f.value.reconstruction for f in found])
    error = np.stack([f.standard_error.reconstruction for f in found])
    z = (value - np.stack(exact, -1)) / error
    assert np.all(np.abs(z.mean(0)) <= 4.5 / np.sqrt(200))
    # 3600 correlated trials in groups of 18: sd of the share below 1.6 %; t of 49 df: 94.4 %
    assert abs((np.abs(z) <= 1.96).mean() - 0.944) <= 0.03


def test_the_table_of_the_illustrative_example(rng_key):
    """Hirt et al. 2024, Table 1: −2.838, 2.860, −52.75, 1.429 at the true posterior."""
    truth = cs.illustrative_example()
    data, _ = truth.simulate(rng_key, 5000)
    programs = (truth, exact_guide(truth), {})
    found = cs.rates(rng_key, *programs, data, num_samples=4, chunk_size=5000)
    for mean, exact in (
        (found.full_reconstruction["total"], -2.838),
        (found.full_rate, 2.860),
        (found.cross_reconstruction["total"], -52.75),
        (found.cross_rate, 1.429),
    ):
        assert abs(mean.value - exact) <= 4 * mean.standard_error + 6e-3
        assert mean.rows == 5000
    table = found.to_pandas()
    assert table.loc[("cross rate", "total"), "value"] == found.cross_rate.value
    x1, x2 = (found.cross_reconstruction[n].value for n in ("x1", "x2"))
    assert found.cross_reconstruction["total"].value == pytest.approx((x1 + x2) / 2)


def test_units_are_those_of_the_unscaled_data(truth, rng_key):
    """Standardised data with the model in standardised units: densities carry Jacobians."""
    raw, _ = truth.simulate(rng_key, 30)
    data = raw.standardize()
    programs = (truth, exact_guide(truth), {})
    found = cs.row_rates(
        rng_key, *programs, data, data.subset_of("a"), num_samples=2
    ).value
    plain = dataclasses_without_scaling(data)
    other = cs.row_rates(
        rng_key, *programs, plain, data.subset_of("a"), num_samples=2
    ).value
    jacobian = np.stack([data.log_jacobian(data.subset_of(n)) for n in NAMES], -1)
    np.testing.assert_allclose(
        found.reconstruction, other.reconstruction + jacobian, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_array_equal(found.rate, other.rate)


def dataclasses_without_scaling(data):
    import dataclasses

    return dataclasses.replace(data, standardization=None)


def test_information_lies_between_its_bounds(truth, programs, rng_key):
    """At exact posteriors I(x_S; z) is R_S, and H(x_S) − D_S falls short of nothing."""
    data, _ = truth.simulate(rng_key, 2000)
    subset = data.subset_of("b")
    entropy = {"given": float(truth.entropy("b")), "all": float(truth.entropy())}
    found = cs.information_bounds(
        rng_key, *programs, data, subset, entropy, num_samples=3
    )
    errors = found.standard_error
    exact = truth.mutual_information("b")
    conditional = truth.mutual_information() - exact
    assert abs(found.lower - exact) <= 4 * errors[0]
    assert abs(found.upper - exact) <= 4 * errors[1]
    assert abs(found.conditional_upper - conditional) <= 4 * errors[3]
    # D^c is of q(z|x_O): its bound is H(x_\S|x_S) + E log p(x_\S|z) ≤ I(x_\S; z | x_S)
    rest = float(
        truth.entropy()
        - truth.entropy("b")
        + truth.reconstruction(("a", "c"), ("a", "b", "c"))
    )
    assert abs(found.conditional_lower - rest) <= 4 * errors[2]
    assert rest <= conditional + 1e-4


def test_what_cannot_be_is_refused(truth, programs, rng_key):
    one = cs.MultimodalData.from_arrays(
        {"a": np.zeros((2, 2)), "b": np.zeros((2, 3)), "c": np.full((2, 5), np.nan)},
        present=np.array([[True, False, False], [False, True, False]]),
    )
    with pytest.raises(ValueError, match="data: expected rows with two modalities"):
        cs.rates(rng_key, *programs, one)
    with pytest.raises(ValueError, match="data: expected the same modalities in every"):
        cs.information_bounds(rng_key, *programs, one, one.present, {})
    data = incomplete(rng_key, truth).take([0])
    with pytest.raises(
        ValueError, match=r"'c': expected all entries, .* got 3 missing"
    ):
        cs.information_bounds(rng_key, *programs, data, data.present, {})
    data, _ = truth.simulate(rng_key, 3)
    with pytest.raises(ValueError, match="entropy: expected 'given' and 'all', got 'a"):
        cs.information_bounds(rng_key, *programs, data, data.present, {"all": 1.0})
