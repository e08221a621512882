"""The references are checked too, by quadrature and counting."""

import numpy as np
import pytest
import reference
from scipy import stats


def test_subsets_are_all_different_and_ordered():
    found = reference.subsets(5)
    assert found.shape == (32, 5)
    assert len({tuple(s) for s in found}) == 32
    assert not found[0].any()
    assert found[-1].all()


def test_log_mean_exp_of_large_numbers():
    x = np.array([[1000.0, 1000.0 + np.log(3.0)], [-1000.0, -1000.0]])
    expected = [1000.0 + np.log(2.0), -1000.0]
    np.testing.assert_allclose(reference.log_mean_exp(x, 1), expected, rtol=1e-14)


def test_product_of_normals_is_the_normalised_product():
    locs, scales = [0.3, -1.1, 2.0], [0.7, 1.3, 0.9]
    grid = np.linspace(-12, 12, 20_001)
    density = np.prod(
        [stats.norm(m, s).pdf(grid) for m, s in zip(locs, scales, strict=True)], 0
    )
    density /= np.trapezoid(density, grid)
    loc, scale = reference.product_of_normals(locs, scales)
    np.testing.assert_allclose(density, stats.norm(loc, scale).pdf(grid), atol=1e-10)


@pytest.mark.parametrize("observed", [(True, True), (True, False), (False, False)])
def test_linear_gaussian_by_quadrature(observed):
    W, b, scale = np.array([[0.8], [-1.7]]), np.array([0.4, 0.1]), 0.6
    x, keep = np.array([1.2, -0.5]), np.array(observed)
    z = np.linspace(-12, 12, 20_001)
    joint = stats.norm.pdf(z)
    for i in np.flatnonzero(keep):
        joint = joint * stats.norm(W[i, 0] * z + b[i], scale).pdf(x[i])
    evidence = np.trapezoid(joint, z)
    mean = np.trapezoid(z * joint, z) / evidence
    variance = np.trapezoid((z - mean) ** 2 * joint, z) / evidence
    args = x[None], keep[None], W, b, scale
    means, covariances = reference.linear_gaussian_posterior(*args)
    log_likelihood = reference.linear_gaussian_log_likelihood(*args)
    np.testing.assert_allclose(log_likelihood, [np.log(evidence)], atol=1e-10)
    np.testing.assert_allclose(means, [[mean]], atol=1e-10)
    np.testing.assert_allclose(covariances, [[[variance]]], atol=1e-10)


def test_kl_to_the_standard_normal_by_quadrature():
    z = np.linspace(-12, 12, 20_001)
    q = stats.norm(0.7, 0.4)
    expected = np.trapezoid(q.pdf(z) * (q.logpdf(z) - stats.norm.logpdf(z)), z)
    found = reference.gaussian_kl(np.array([0.7]), np.array([[0.16]]))
    np.testing.assert_allclose(found, expected, atol=1e-10)
