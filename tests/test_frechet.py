"""The Fréchet distance against its closed form, and where covariances are singular."""

import numpy as np
import pytest
from scipy.linalg import sqrtm

import consilience as cs


def points(mean, covariance):
    """2 D + 1 points with exactly this sample mean and covariance."""
    dims = len(mean)
    root = np.linalg.cholesky(covariance) * np.sqrt(dims)
    return np.concatenate([mean + root.T, mean - root.T, [mean]])


def closed_form(mean_x, cov_x, mean_y, cov_y):
    cross = sqrtm(cov_x @ cov_y).real
    return np.sum((mean_x - mean_y) ** 2) + np.trace(cov_x + cov_y - 2 * cross)


@pytest.mark.parametrize("dims", [1, 2, 5])
def test_the_closed_form_of_two_gaussians(dims):
    generator = np.random.default_rng(dims)
    mean_x, mean_y = generator.normal(size=(2, dims))
    a, b = generator.normal(size=(2, dims, dims))
    cov_x, cov_y = a @ a.T + 0.1 * np.eye(dims), b @ b.T + 0.1 * np.eye(dims)
    found = cs.frechet_distance(points(mean_x, cov_x), points(mean_y, cov_y))
    expected = closed_form(mean_x, cov_x, mean_y, cov_y)
    assert found == pytest.approx(expected, rel=1e-10)


def test_one_dimension_is_the_distance_of_means_and_scales():
    x, y = np.array([[0.0], [2.0]]), np.array([[5.0], [5.0], [11.0]])
    expected = (x.mean() - y.mean()) ** 2 + (x.std(ddof=1) - y.std(ddof=1)) ** 2
    assert cs.frechet_distance(x, y) == pytest.approx(expected, rel=1e-12)


def test_singular_covariances_in_the_same_and_in_other_directions():
    """Fewer rows than features, where a square root of the product may be complex."""
    x = np.random.default_rng(0).normal(size=(5, 4, 3))
    assert cs.frechet_distance(x, x) == pytest.approx(0.0, abs=1e-12)
    assert cs.frechet_distance(x, x + 2.0) == pytest.approx(4.0 * 12, rel=1e-12)
    line = np.zeros((6, 2))
    line[:, 0] = np.arange(6)
    variance = np.arange(6).var(ddof=1)
    across = line[:, ::-1] - line.mean(0)[::-1] + line.mean(0)
    assert cs.frechet_distance(line, across) == pytest.approx(2 * variance, rel=1e-12)


def test_features_are_pluggable_and_numbers_may_be_whole():
    x = np.random.default_rng(1).integers(0, 9, size=(8, 3, 2))
    y = x[:6] + 1
    found = cs.frechet_distance(x, y, lambda v: v.sum(1))
    assert found == pytest.approx(cs.frechet_distance(x.sum(1), y.sum(1)))
    same = cs.frechet_distance(x.astype(np.float32), y.astype(np.float32))
    assert cs.frechet_distance(x, y) == pytest.approx(same, rel=1e-6)


@pytest.mark.parametrize(
    ("x", "y", "features", "said"),
    [
        (np.ones((1, 2)), np.ones((3, 2)), None, "x: expected 2 rows or more, got 1"),
        (
            np.ones((3, 2)),
            np.ones((3, 4)),
            None,
            "y: expected 2 features as x has, got 4",
        ),
        (np.ones((3, 2)), np.full((3, 2), np.inf), None, "y: .*row 0"),
        (
            np.ones((3, 2)),
            np.ones((3, 2)),
            np.sum,
            r"features: expected shape \(3, F\)",
        ),
    ],
)
def test_what_has_no_gaussian_is_refused(x, y, features, said):
    with pytest.raises(ValueError, match=said):
        cs.frechet_distance(x, y, features)
