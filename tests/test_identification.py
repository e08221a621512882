"""Mean correlation coefficients against direct ones."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import linalg, stats

import consilience as cs
from consilience.evaluation.canonical import canonical_variates

ROWS, DIMS = 61, 3


@pytest.fixture
def noise():
    return np.random.default_rng(3).normal(size=(2, ROWS, DIMS))


def pairwise(x, y, method):
    """|correlation| of each pair of columns, one scipy call each."""
    correlation = {"pearson": stats.pearsonr, "spearman": stats.spearmanr}[method]
    return np.array([[abs(correlation(a, b)[0]) for b in y.T] for a in x.T])


def best_matching(table):
    """Every permutation is tried."""
    permutations = itertools.permutations(range(len(table)))
    return max(permutations, key=lambda p: table[range(len(table)), p].sum())


def canonical_directions(x, y):
    """From the generalised eigenvalue problem of the covariances, no QR and no SVD."""
    x, y = x - x.mean(0), y - y.mean(0)
    a, b, cross = x.T @ x, y.T @ y, x.T @ y
    _, u = linalg.eigh(cross @ np.linalg.solve(b, cross.T), a)
    _, v = linalg.eigh(cross.T @ np.linalg.solve(a, cross), b)
    return u, v


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_noise_gives_the_direct_figures(noise, method):
    x, y = noise
    found = cs.mean_correlation(x, y, method=method)
    columns = np.arange(DIMS)
    whole, first, second = (
        pairwise(x[rows], y[rows], method)
        for rows in (slice(None), slice(0, None, 2), slice(1, None, 2))
    )
    assert found.strong == pytest.approx(whole[columns, best_matching(whole)].mean())
    held_out = second[columns, best_matching(first)].mean()
    assert found.strong_out_of_sample == pytest.approx(held_out)
    u, v = canonical_directions(x[::2], y[::2])
    inside = np.diag(pairwise(x[::2] @ u, y[::2] @ v, method))
    outside = np.diag(pairwise(x[1::2] @ u, y[1::2] @ v, method))
    assert found.weak == pytest.approx(inside.mean())
    assert found.weak_out_of_sample == pytest.approx(outside.mean())


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_permuted_and_flipped_copies_are_strongly_identified(noise, method):
    truth = noise[0]
    copy = truth[:, [2, 0, 1]] * [-1.0, 20.0, -0.1] + [5.0, 0.0, -100.0]
    np.testing.assert_allclose(cs.mean_correlation(truth, copy, method=method), 1.0)


def test_monotone_copies_are_identified_by_their_ranks(noise):
    truth = noise[0]
    ranks = cs.mean_correlation(truth, np.exp(3 * truth), method="spearman")
    assert ranks.strong == pytest.approx(1.0)
    assert cs.mean_correlation(truth, np.exp(3 * truth)).strong < 0.9


@pytest.mark.parametrize("method", ["pearson", "spearman"])
def test_affine_mixtures_are_weakly_identified_only(noise, method):
    truth, other = noise
    mixed = 1e-3 * truth @ other[:DIMS] + 7.0
    found = cs.mean_correlation(truth, mixed, method=method)
    assert found.weak == pytest.approx(1.0)
    assert found.weak_out_of_sample == pytest.approx(1.0)
    assert found.strong < 0.97


def test_rows_may_be_sorted(noise):
    truth = np.sort(noise[0], 0)
    assert cs.mean_correlation(truth, -truth).weak_out_of_sample == pytest.approx(1.0)


def test_a_missing_direction_counts_as_nought(noise):
    truth = noise[0]
    found = truth.copy()
    found[:, 0] = found[:, 1] + 2 * found[:, 2]
    result = cs.mean_correlation(truth, found)
    assert result.weak == pytest.approx(2 / 3)
    assert result.weak_out_of_sample == pytest.approx(2 / 3)


def test_canonical_variates_are_uncorrelated_and_ordered(noise):
    x, y = noise[0], noise[1][:, :2]
    a, b = canonical_variates(x, y)(x, y)
    together = np.corrcoef(a, b, rowvar=False)
    pairs = np.diag(together[:2, 2:])
    assert pairs[0] >= pairs[1] >= 0
    expected = np.block([[np.eye(2), np.diag(pairs)], [np.diag(pairs), np.eye(2)]])
    np.testing.assert_allclose(together, expected, atol=1e-12)


def test_draws_are_averaged_and_means_are_better(noise):
    truth, _ = noise
    samples = truth + 0.5 * np.random.default_rng(0).normal(size=(7, ROWS, DIMS))
    found = cs.identification(truth, samples)
    each = [cs.mean_correlation(truth, draw) for draw in samples]
    np.testing.assert_allclose(found.samples, np.mean(each, 0))
    np.testing.assert_allclose(found.means, cs.mean_correlation(truth, samples.mean(0)))
    assert found.means.strong > found.samples.strong + 0.05


def test_the_exact_posterior_has_the_correlations_of_its_model(rng_key):
    """x = z + σ ε: posterior means correlate with z by (1 + σ²)^-½, draws by its square."""
    truth = cs.LinearGaussian({"a": jnp.eye(2)}, {"a": jnp.zeros(2)}, 0.8)
    data, z = truth.simulate(rng_key, 20_000)
    exact = truth.posterior(data, data.present)
    found = cs.identification(z, exact.sample(jax.random.key(1), (2,)))
    assert found.samples.strong == pytest.approx(1 / 1.64, abs=0.01)
    means = cs.mean_correlation(z, exact.mean)
    assert means.strong == pytest.approx(1.64**-0.5, abs=0.01)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x, y: (x, y[:, :2]), r"found: expected the shape of truth, \(61, 3\)"),
        (lambda x, y: (x[:13], y[:13]), "truth: expected at least 14 rows for 3 col"),
        (lambda x, y: (x, y * [1, 0, 1]), "found: .*column 1 is constant"),
        (lambda x, y: (x, y * [1, 0, 1] + 0.1), "found: .*column 1 is constant"),
        (
            lambda x, y: (np.where(x == x[4, 2], np.nan, x), y),
            "truth: .*row 4, column 2",
        ),
    ],
)
def test_what_has_no_correlation_is_refused(noise, change, said):
    with pytest.raises(ValueError, match=said):
        cs.mean_correlation(*change(*noise))


def test_unknown_methods_and_no_draws_are_refused(noise):
    with pytest.raises(ValueError, match="method: expected one of pearson, spearman"):
        cs.mean_correlation(*noise, method="kendall")
    with pytest.raises(ValueError, match="samples: expected 1 draw or more"):
        cs.identification(noise[0], noise[:0])
