"""Clusters of points that one linear map makes independent: where mixtures begin."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from consilience.models.unmixing import unmixing_matrix, variances_along
from consilience.nn.sizes import check_positive

PARAMS = (
    "prior.logits",
    "prior.source_loc",
    "prior.source_scale",
    "prior.unmixing",
)
FLAT = 1e-10  # of a variance beside the largest one


class SemitiedClusters(NamedTuple):
    """Clusters of points, and the map that makes each as independent as it can be.

    Attributes:
        logits: log π_c `[K]`.
        loc: means μ_c of the sources s = W z, `[K, D]`.
        scale: their standard deviations σ_c, `[K, D]`.
        unmixing: W `[D, D]`; over all points each source has variance 1.
    """

    logits: Float[Array, " components"]
    loc: Float[Array, "components latent"]
    scale: Float[Array, "components latent"]
    unmixing: Float[Array, "latent latent"]

    def params(self) -> dict[str, Array]:
        """Values for the parameters of a `semitied_mixture`."""
        return dict(zip(PARAMS, self, strict=True))


class Moments(NamedTuple):
    """Shares `[K]`, means `[K, D]` and covariances `[K, D, D]` of clusters."""

    weights: Float[np.ndarray, " components"]
    means: Float[np.ndarray, "components latent"]
    covariances: Float[np.ndarray, "components latent latent"]


def semitied_clusters(
    points: Shaped[Array | np.ndarray, "..."],
    num_components: int,
    labels: Shaped[Array | np.ndarray, "..."] | None = None,
) -> SemitiedClusters:
    """Clusters of scikit-learn's `GaussianMixture`, and what makes them independent.

    Points are whitened first: another basis of theirs gives the same sources.

    Args:
        points: `[P, D]`, such as posterior draws.
        num_components: K.
        labels: `[P]`, the cluster of each point, 0 .. K - 1, where it is known: for a
            `multimodal_model` with a `label`, which must agree on their order.

    Raises:
        ValueError: points are not of two axes, not finite, not more than D for each
            component, or do not spread in every direction; labels are not one integer a
            point, out of range, or not more than D points have one of them.
    """
    check_positive(num_components=num_components)
    points = np.asarray(points, float)
    whitening = _whitening(points, num_components)
    white = points @ whitening.T
    found = (
        _searched(white, num_components)
        if labels is None
        else _labelled(white, num_components, np.ma.asanyarray(labels))
    )
    W = unmixing_matrix(found.covariances, found.weights)
    W = W / (white @ W.T).std(0)[:, None]
    scale = np.sqrt(variances_along(W, found.covariances))
    parts = (np.log(found.weights), found.means @ W.T, scale, W @ whitening)
    return SemitiedClusters(*(jnp.asarray(x, float) for x in parts))


def _searched(points: np.ndarray, num_components: int) -> Moments:
    from sklearn.mixture import GaussianMixture

    settings = {"n_init": 10, "max_iter": 1000, "random_state": 0}
    found = GaussianMixture(num_components, **settings).fit(points)
    return Moments(found.weights_, found.means_, found.covariances_)


def _labelled(points: np.ndarray, num_components: int, labels: np.ndarray) -> Moments:
    """Of points that have variance 1 together."""
    count, dim = points.shape
    _check_labels(labels, count, num_components)
    sizes = np.bincount(labels, minlength=num_components)
    if sizes.min() <= dim:
        raise ValueError(
            f"labels: expected more than {dim} points of each, got {sizes.min()} of label "
            f"{sizes.argmin()}"
        )
    own = [points[labels == c] for c in range(num_components)]
    means = np.array([x.mean(0) for x in own])
    covariances = np.array([np.cov(x.T).reshape(dim, dim) for x in own])
    ranks = (np.linalg.eigvalsh(covariances) > FLAT).sum(-1)
    if ranks.min() < dim:
        raise ValueError(
            f"labels: expected points of label {ranks.argmin()} to spread in all {dim} "
            f"directions, got a spread in {ranks.min()}"
        )
    return Moments(sizes / count, means, covariances)


def _check_labels(labels: np.ndarray, count: int, num_components: int) -> None:
    if np.ma.is_masked(labels):
        raise ValueError(
            "labels: expected one for each point, got masked ones; leave those points out"
        )
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(
            f"labels: expected one integer for each of {count} points, got {labels.dtype} "
            f"of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() >= num_components:
        raise ValueError(
            f"labels: expected 0 to {num_components - 1}, got {labels.min()} to "
            f"{labels.max()}"
        )


def _whitening(points: np.ndarray, num_components: int) -> Float[np.ndarray, "_ _"]:
    """A map to points of unit covariance; what has none is refused."""
    if points.ndim != 2:
        raise ValueError(
            f"points: expected [points, latent], got shape {points.shape}; of posterior "
            "draws take one a row, or reshape(-1, D)"
        )
    count, dim = points.shape
    least = num_components * (dim + 1)
    if count < least:
        raise ValueError(
            f"points: expected at least {least} for {num_components} clusters in {dim} "
            f"dimensions, got {count}"
        )
    if not np.isfinite(points).all():
        raise ValueError("points: expected finite numbers, got some that are not")
    spread = np.where(np.ptp(points, 0) > 0, points.std(0), 1.0)
    variances, axes = np.linalg.eigh(np.cov((points / spread).T).reshape(dim, dim))
    rank = int((variances > FLAT * variances[-1]).sum())
    if rank < dim:
        raise ValueError(
            f"points: expected a spread in all {dim} directions, got one in {rank}"
        )
    return (axes / np.sqrt(variances)).T / spread
