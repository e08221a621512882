"""Clusters of points, and the linear map that makes all of them independent.

Covariances W⁻¹ diag(σ_c²) W⁻ᵀ are called semi-tied (Gales 1999, Semi-Tied Covariance
Matrices for Hidden Markov Models).
"""

import warnings
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from consilience.nn.sizes import check_positive

PARAMS = (
    "prior.logits",
    "prior.source_loc",
    "prior.source_scale",
    "prior.unmixing",
)
FLAT = 1e-10  # of a variance beside the largest one
SWEEPS, SETTLED = 2000, 1e-12


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


def semitied_clusters(
    points: Shaped[Array | np.ndarray, "..."], num_components: int
) -> SemitiedClusters:
    """Clusters of scikit-learn's `GaussianMixture`, and what makes them independent.

    Points are whitened first: another basis of theirs gives the same sources.

    Args:
        points: `[P, D]`, such as posterior draws.
        num_components: K.

    Raises:
        ValueError: points are not of two axes, not finite, not more than D for each
            component, or do not spread in every direction.
    """
    from sklearn.mixture import GaussianMixture

    check_positive(num_components=num_components)
    points = np.asarray(points, float)
    whitening = _whitening(points, num_components)
    white = points @ whitening.T
    found = GaussianMixture(num_components, n_init=10, random_state=0).fit(white)
    W = unmixing_matrix(found.covariances_, found.weights_)
    W = W / (white @ W.T).std(0)[:, None]
    scale = np.sqrt(_variances(W, found.covariances_))
    parts = (np.log(found.weights_), found.means_ @ W.T, scale, W @ whitening)
    return SemitiedClusters(*(jnp.asarray(x, float) for x in parts))


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


def unmixing_matrix(
    covariances: Float[np.ndarray, "components latent latent"],
    weights: Float[np.ndarray, " components"],
) -> Float[np.ndarray, "latent latent"]:
    """W that makes Gaussians of these covariances as independent as can be.

    It maximises the likelihood of points from them under semi-tied covariances,

        log |det W| − ½ Σ_c π_c Σ_d log w_dᵀ S_c w_d

    row by row; no step lowers it (Gales 1999):

        w_d ∝ G_d⁻¹ (W⁻¹)_d,    G_d = Σ_c π_c S_c / (w_dᵀ S_c w_d)

    Unique up to order and sizes of the rows where the ratios of variances along them
    differ between components.
    """
    S, pi = np.asarray(covariances, float), np.asarray(weights, float)
    W = np.linalg.inv(np.linalg.cholesky(np.einsum("k,kij->ij", pi, S)))
    value = -np.inf
    for _ in range(SWEEPS):
        for d in range(len(W)):
            variances = np.einsum("i,kij,j->k", W[d], S, W[d])
            G = np.einsum("k,kij->ij", pi / variances, S)
            column = np.linalg.inv(W)[:, d]
            row = np.linalg.solve(G, column)
            W[d] = row / np.sqrt(column @ row)
        last, value = value, _likelihood(W, S, pi)
        if value - last < SETTLED:
            return W
    warnings.warn(
        f"unmixing_matrix: the likelihood still rises by {value - last:.1e} a sweep after "
        f"{SWEEPS}; components may be too alike to tell directions apart",
        stacklevel=2,
    )
    return W


def _likelihood(W, covariances, weights) -> float:
    logs = np.log(_variances(W, covariances)).sum(-1)
    return np.linalg.slogdet(W)[1] - 0.5 * float(weights @ logs)


def _variances(W, covariances) -> Float[np.ndarray, "components latent"]:
    return np.einsum("di,kij,dj->kd", W, covariances, W)
