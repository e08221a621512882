"""Mixtures that one linear map makes independent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy.optimize import minimize

import consilience as cs
from consilience.models.semitied import Unmixing, unmixing_matrix
from tests import reference

DIM, COMPONENTS = 4, 3


def random_covariances(rng):
    """Of no common axes."""
    roots = rng.normal(size=(COMPONENTS, DIM, 2 * DIM))
    return roots @ roots.swapaxes(1, 2)


def alone(mixing):
    """Largest entry of each row and column against the rest: 0 for scaled permutations."""
    size = np.abs(mixing)
    size = size / size.max(1, keepdims=True)
    assert sorted(size.argmax(1)) == list(range(len(size)))
    return np.sort(size, 1)[:, -2].max()


def test_unmixing_finds_the_axes_that_all_share():
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(DIM, DIM))
    variances = rng.uniform(0.2, 3.0, size=(COMPONENTS, DIM))
    S = np.einsum("id,kd,jd->kij", mixing, variances, mixing)
    W = unmixing_matrix(S, np.array([0.5, 0.3, 0.2]))
    assert alone(W @ mixing) < 1e-4


@pytest.mark.parametrize("seed", range(3))
def test_unmixing_is_a_maximum_of_the_likelihood(seed):
    rng = np.random.default_rng(seed)
    S, weights = random_covariances(rng), rng.dirichlet(np.full(COMPONENTS, 4.0))

    def loss(w):
        return -reference.semitied_log_likelihood(w.reshape(DIM, DIM), S, weights)

    W = unmixing_matrix(S, weights)
    polished = minimize(loss, W.ravel(), method="BFGS").fun
    assert loss(W.ravel()) == pytest.approx(polished, abs=1e-7)
    whitening = np.linalg.inv(np.linalg.cholesky(np.tensordot(weights, S, 1)))
    assert loss(W.ravel()) < loss(whitening.ravel()) - 0.1


def sources(num_rows=3000, seed=0):
    """(points, sources): three clusters, turned and sheared."""
    rng = np.random.default_rng(seed)
    label = rng.integers(COMPONENTS, size=num_rows)
    loc = rng.uniform(-5, 5, size=(COMPONENTS, DIM))
    scale = rng.uniform(0.3, 2.0, size=(COMPONENTS, DIM))
    s = loc[label] + scale[label] * rng.normal(size=(num_rows, DIM))
    return s @ rng.normal(size=(DIM, DIM)), s


def test_clusters_find_the_sources():
    points, s = sources()
    found = cs.semitied_clusters(points, COMPONENTS)
    again = points @ np.asarray(found.unmixing).T
    np.testing.assert_allclose(again.std(0), 1.0, rtol=1e-5)
    assert cs.mean_correlation(s, again).strong > 0.99
    turned = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]
    assert cs.mean_correlation(s, again @ turned).strong < 0.95


def test_prior_starts_as_the_clusters():
    points, _ = sources()
    prior = cs.semitied_mixture(DIM, COMPONENTS, start=points)
    with handlers.seed(rng_seed=0):
        law = prior()
    drawn = np.asarray(law.sample(jax.random.key(0), (20_000,)))
    error = np.cov(points.T).diagonal() ** 0.5 * (3000**-0.5 + 20_000**-0.5)
    assert (abs(drawn.mean(0) - points.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(points.T), rtol=0.2, atol=0.5)


def test_responsibilities_sum_to_one_and_tell_clusters():
    points, _ = sources()
    prior = cs.semitied_mixture(DIM, COMPONENTS)
    params = cs.semitied_clusters(points, COMPONENTS).params()
    found = cs.responsibilities(prior, params, jnp.asarray(points))
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-4)
    weights = jax.nn.softmax(params["prior.logits"])
    np.testing.assert_allclose(found.mean(0), weights, atol=1e-3)
    assert (found.max(-1) > 0.99).mean() > 0.9


def test_transform_is_inverted_and_its_volume_is_that_of_the_matrix(x64):
    rng = np.random.default_rng(3)
    W, s = rng.normal(size=(DIM, DIM)), rng.normal(size=(7, DIM))
    transform = Unmixing(jnp.asarray(W))
    z = transform(jnp.asarray(s))
    np.testing.assert_allclose(z, s @ np.linalg.inv(W).T, rtol=1e-9)
    np.testing.assert_allclose(transform.inv(z), s, rtol=1e-9)
    volume = transform.log_abs_det_jacobian(s, z)
    np.testing.assert_allclose(volume, -np.log(abs(np.linalg.det(W))), rtol=1e-9)
    assert volume.shape == (7,)
    assert transform == Unmixing(jnp.asarray(W)) != Unmixing(jnp.asarray(2 * W))


@pytest.mark.parametrize(
    ("start", "message"),
    [
        (np.zeros((50, 5)), r"start: expected points of shape \(P, 4\), got \(50, 5\)"),
        (np.zeros((14, DIM)), "start: expected at least 15 points for 3 clusters in 4"),
    ],
)
def test_other_points_are_refused(start, message):
    with pytest.raises(ValueError, match=message):
        cs.semitied_mixture(DIM, COMPONENTS, start=start)
