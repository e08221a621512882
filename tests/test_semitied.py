"""Mixtures that one linear map makes independent."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from numpyro import handlers
from scipy.optimize import minimize

import consilience as cs
from consilience.models.semitied import Unmixing
from consilience.models.unmixing import SETTLED, unmixing_matrix
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


@pytest.mark.parametrize("alike", [1.0, 0.3, 0.05, 0.02])
@pytest.mark.parametrize("seed", range(3))
def test_unmixing_settles_however_alike_components_are(alike, seed):
    """Row by row the likelihood still rises after thousands of sweeps; warnings raise.

    At a maximum Σ_c π_c C_c[d, e] / C_c[d, d] is the identity, C_c = W S_c Wᵀ.
    """
    rng = np.random.default_rng(seed)
    mixing, weights = rng.normal(size=(10, 10)), rng.dirichlet(np.full(5, 4.0))
    scale = np.exp(0.5 * alike * rng.normal(size=(5, 10)))
    points = scale[:, None] * rng.normal(size=(5, 500, 10)) @ mixing.T
    S = np.stack([np.cov(x.T) for x in points])
    W = unmixing_matrix(S, weights)
    C = np.einsum("di,kij,ej->kde", W, S, W)
    ratios = C / np.diagonal(C, axis1=1, axis2=2)[..., None]
    size = np.sqrt(np.diagonal(np.tensordot(weights, C, 1)))  # rows may have any size
    found = np.tensordot(weights, ratios, 1) * size[:, None] / size
    np.testing.assert_allclose(found, np.eye(10), atol=1e-6)


def example(num_rows=3000, seed=0):
    """(points, sources): three clusters, turned and sheared."""
    rng = np.random.default_rng(seed)
    label = rng.integers(COMPONENTS, size=num_rows)
    loc = rng.uniform(-5, 5, size=(COMPONENTS, DIM))
    scale = rng.uniform(0.3, 2.0, size=(COMPONENTS, DIM))
    s = loc[label] + scale[label] * rng.normal(size=(num_rows, DIM))
    return s @ rng.normal(size=(DIM, DIM)), s


def test_clusters_find_the_sources():
    points, s = example()
    found = cs.semitied_clusters(points, COMPONENTS)
    again = points @ np.asarray(found.unmixing).T
    np.testing.assert_allclose(again.std(0), 1.0, rtol=1e-5)
    assert cs.mean_correlation(s, again).strong > 0.99
    turned = np.linalg.qr(np.random.default_rng(9).normal(size=(DIM, DIM)))[0]
    assert cs.mean_correlation(s, again @ turned).strong < 0.95


def test_known_labels_give_their_own_moments():
    points, _ = example()
    cuts = np.quantile(points[:, 0], [0.2, 0.5])
    labels = np.digitize(points[:, 0], cuts)  # which no search would find
    found = cs.semitied_clusters(points, COMPONENTS, labels)
    again = points @ np.asarray(found.unmixing).T
    for c in range(COMPONENTS):
        own = again[labels == c]
        np.testing.assert_allclose(found.loc[c], own.mean(0), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(found.scale[c], own.std(0, ddof=1), rtol=1e-3)
    shares = np.bincount(labels) / len(labels)
    np.testing.assert_allclose(np.exp(found.logits), shares, rtol=1e-5)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(49, int), "labels: expected one integer for each of 50 points"),
        (np.zeros(50), "labels: expected one integer .* got float64"),
        (np.arange(50) % 4, "labels: expected 0 to 2, got 0 to 3"),
        (np.arange(50) % 3 - 1, "labels: expected 0 to 2, got -1 to 1"),
        (np.arange(50) % 2, "labels: expected more than 4 points .* got 0 of label 2"),
    ],
)
def test_labels_that_are_no_clusters_are_refused(labels, message):
    points = np.random.default_rng(0).normal(size=(50, DIM))
    with pytest.raises(ValueError, match=message):
        cs.semitied_clusters(points, COMPONENTS, labels)


@pytest.mark.parametrize(("kind", "rank"), [("point", 0), ("axis", 1), ("line", 1)])
def test_labels_of_points_without_a_spread_are_refused(kind, rank):
    rng = np.random.default_rng(0)
    points, labels = rng.normal(size=(60, 2)), np.arange(60) % 3
    along = {"point": [0.0, 0.0], "axis": [1.0, 0.0], "line": [1.0, -2.0]}[kind]
    points[labels == 1] = 0.3 + rng.normal(size=(20, 1)) * along
    message = (
        f"labels: expected points of label 1 .* 2 directions, got a spread in {rank}"
    )
    with pytest.raises(ValueError, match=message):
        cs.semitied_clusters(points, 3, labels)


def test_masked_labels_are_refused():
    points = np.random.default_rng(0).normal(size=(60, DIM))
    labels = np.ma.masked_array(np.arange(60) % 3, np.arange(60) == 7)
    with pytest.raises(
        ValueError, match="labels: expected one for each point, got masked"
    ):
        cs.semitied_clusters(points, 3, labels)


def test_prior_starts_as_the_clusters():
    points, _ = example()
    start = cs.semitied_clusters(points, COMPONENTS)
    prior = cs.semitied_mixture(DIM, COMPONENTS, start)
    with handlers.seed(rng_seed=0):
        law = prior()
    drawn = np.asarray(law.sample(jax.random.key(0), (20_000,)))
    error = np.cov(points.T).diagonal() ** 0.5 * (3000**-0.5 + 20_000**-0.5)
    assert (abs(drawn.mean(0) - points.mean(0)) < 5 * error).all()
    np.testing.assert_allclose(np.cov(drawn.T), np.cov(points.T), rtol=0.2, atol=0.5)


def test_responsibilities_sum_to_one_and_tell_clusters():
    points, _ = example()
    prior = cs.semitied_mixture(DIM, COMPONENTS)
    params = cs.semitied_clusters(points, COMPONENTS).params()
    found = cs.responsibilities(prior, params, jnp.asarray(points))
    np.testing.assert_allclose(found.sum(-1), 1.0, rtol=1e-4)
    weights = jax.nn.softmax(params["prior.logits"])
    np.testing.assert_allclose(found.mean(0), weights, atol=1e-3)
    assert (found.max(-1) > 0.99).mean() > 0.9


def test_sources_are_where_components_are_independent():
    points, s = example()
    params = cs.semitied_clusters(points, COMPONENTS).params()
    found = cs.sources(params, jnp.asarray(points))
    assert cs.mean_correlation(s, found).strong > 0.99
    with pytest.raises(ValueError, match=r"params: expected .* got prior.loc"):
        cs.sources({"prior.loc": params["prior.unmixing"]}, jnp.asarray(points))


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


@pytest.mark.parametrize("size", [1e-3, 1.0, 1e3])
def test_any_basis_of_the_points_gives_the_same_sources(size):
    points, s = example()
    rng = np.random.default_rng(5)
    basis = rng.normal(size=(DIM, DIM)) * [size, 1.0, 1.0, 1.0]
    found = cs.semitied_clusters(points @ basis, COMPONENTS)
    assert (
        cs.mean_correlation(s, points @ basis @ np.asarray(found.unmixing).T).strong
        > 0.99
    )


def test_an_affine_map_of_the_decoder_is_absorbed():
    """p(s) of sources under the other mixture, and p(z) at z = W⁻¹ s."""
    points, _ = example()
    found = cs.semitied_clusters(points, COMPONENTS)
    W = found.unmixing
    params = found.params()
    own = {"prior.logits": params["prior.logits"]}
    own |= {f"prior.{k}": params[f"prior.source_{k}"] for k in ("loc", "scale")}
    priors = (
        cs.semitied_mixture(DIM, COMPONENTS),
        cs.gaussian_mixture(DIM, COMPONENTS),
    )
    z = jnp.asarray(points[:50])
    densities = [
        handlers.substitute(handlers.seed(prior, 0), data=values)().log_prob(at)
        for prior, values, at in zip(priors, (params, own), (z, z @ W.T), strict=True)
    ]
    volume = np.linalg.slogdet(W)[1]
    np.testing.assert_allclose(densities[0], densities[1] + volume, rtol=1e-4)


def test_slow_convergence_is_said(monkeypatch):
    monkeypatch.setitem(SETTLED, "maxiter", 1)
    S = random_covariances(np.random.default_rng(0))
    with pytest.warns(UserWarning, match="not settled after 1 steps"):
        unmixing_matrix(S, np.full(COMPONENTS, 1 / COMPONENTS))


FLAT = np.random.default_rng(0).normal(size=(50, DIM)) * [1.0, 1.0, 1.0, 0.0]


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (
            np.zeros((2, 50, DIM)),
            r"points: expected \[points, latent\], got shape \(2, 50",
        ),
        (np.zeros((14, DIM)), "points: expected at least 15 for 3 clusters in 4 dim"),
        (np.full((50, DIM), np.nan), "points: expected finite numbers"),
        (
            np.ones((50, DIM)),
            "points: expected a spread in all 4 directions, got one in 0",
        ),
        (FLAT, "points: expected a spread in all 4 directions, got one in 3"),
    ],
)
def test_points_without_clusters_are_refused(points, message):
    with pytest.raises(ValueError, match=message):
        cs.semitied_clusters(points, COMPONENTS)


def test_clusters_of_another_size_are_refused():
    start = cs.semitied_clusters(example()[0], COMPONENTS)
    with pytest.raises(ValueError, match="start: expected 5 clusters in 4 dimensions"):
        cs.semitied_mixture(DIM, 5, start)
