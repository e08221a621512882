"""The linear map that makes Gaussians independent, all of them as far as can be.

Covariances W⁻¹ diag(σ_c²) W⁻ᵀ are called semi-tied (Gales 1999, Semi-Tied Covariance
Matrices for Hidden Markov Models).
"""

import warnings

import numpy as np
from jaxtyping import Float
from scipy.optimize import minimize

SWEEPS = 50
SETTLED = {"ftol": 1e-15, "gtol": 1e-9, "maxcor": 20, "maxiter": 10_000}


def unmixing_matrix(
    covariances: Float[np.ndarray, "components latent latent"],
    weights: Float[np.ndarray, " components"],
) -> Float[np.ndarray, "latent latent"]:
    """W that makes Gaussians of these covariances as independent as can be.

    It maximises the likelihood of points from them under semi-tied covariances,

        log |det W| − ½ Σ_c π_c Σ_d log w_dᵀ S_c w_d

    first row by row, where no step lowers it (Gales 1999),

        w_d ∝ G_d⁻¹ (W⁻¹)_d,    G_d = Σ_c π_c S_c / (w_dᵀ S_c w_d)

    which slows down without end where components are alike, then by L-BFGS, which does not,
    until a step gains no more than rounding, relative to the likelihood. Unique up to order
    and sizes of the rows where the ratios of variances along them differ between components.

    Warns:
        UserWarning: L-BFGS has not settled.
    """
    S, pi = np.asarray(covariances, float), np.asarray(weights, float)
    W = np.linalg.inv(np.linalg.cholesky(np.einsum("k,kij->ij", pi, S)))
    for _ in range(SWEEPS):
        for d in range(len(W)):
            variances = np.einsum("i,kij,j->k", W[d], S, W[d])
            G = np.einsum("k,kij->ij", pi / variances, S)
            column = np.linalg.inv(W)[:, d]
            row = np.linalg.solve(G, column)
            W[d] = row / np.sqrt(column @ row)
    return _settled(np.einsum("di,kij,ej->kde", W, S, W), pi) @ W


def _settled(covariances: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The best map near the identity."""
    shape = covariances.shape[1:]

    def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
        W = flat.reshape(shape)
        WS = np.einsum("di,kij->kdj", W, covariances)
        variances = np.einsum("kdj,dj->kd", WS, W)
        value = 0.5 * weights @ np.log(variances).sum(-1) - np.linalg.slogdet(W)[1]
        slope = np.einsum("k,kdj,kd->dj", weights, WS, 1 / variances)
        return float(value), (slope - np.linalg.inv(W).T).ravel()

    start = np.eye(len(covariances[0])).ravel()
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options=SETTLED)
    if found.nit >= SETTLED["maxiter"]:
        warnings.warn(
            f"unmixing_matrix: not settled after {found.nit} steps of L-BFGS; components "
            "may be too alike to tell directions apart",
            stacklevel=3,
        )
    return found.x.reshape(shape)


def variances_along(
    W: Float[np.ndarray, "latent latent"],
    covariances: Float[np.ndarray, "components latent latent"],
) -> Float[np.ndarray, "components latent"]:
    """w_dᵀ S_c w_d of every row of W."""
    return np.einsum("di,kij,dj->kd", W, covariances, W)
