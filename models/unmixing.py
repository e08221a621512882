"""The linear map that makes Gaussians independent, all of them as far as can be.

Covariances W⁻¹ diag(σ_c²) W⁻ᵀ are called semi-tied (Gales 1999, Semi-Tied Covariance
Matrices for Hidden Markov Models).
"""

import warnings

import numpy as np
from jaxtyping import Float

SWEEPS, SETTLED = 2000, 1e-12


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
    logs = np.log(variances_along(W, covariances)).sum(-1)
    return np.linalg.slogdet(W)[1] - 0.5 * float(weights @ logs)


def variances_along(
    W: Float[np.ndarray, "latent latent"],
    covariances: Float[np.ndarray, "components latent latent"],
) -> Float[np.ndarray, "components latent"]:
    """w_dᵀ S_c w_d of every row of W."""
    return np.einsum("di,kij,dj->kd", W, covariances, W)
