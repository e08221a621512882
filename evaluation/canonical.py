"""Canonical pairs: the directions of two sets of columns that correlate most."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float
from scipy.linalg import qr, solve_triangular


def canonical_variates(
    x: Float[np.ndarray, "rows dims_x"], y: Float[np.ndarray, "rows dims_y"]
) -> Callable:
    """The map of (x, y) to their canonical variates, fitted to these rows.

    Canonical correlation analysis by QR and SVD (Björck and Golub 1973). Columns that
    depend on others are left out of their basis, so that pairs may be fewer than columns.

    Args:
        x: `[N, D]`.
        y: `[N, E]`.

    Returns:
        maps arrays `[N', D]` and `[N', E]` to `[N', P]` both, P ≤ min(D, E), the most
        correlated pair first; uncorrelated within each in the rows of the fit.
    """
    (q_x, of_x), (q_y, of_y) = _basis(x), _basis(y)
    left, _, right = np.linalg.svd(q_x.T @ q_y, full_matrices=False)
    return lambda x, y: (of_x(x) @ left, of_y(y) @ right.T)


def _basis(x: np.ndarray) -> tuple[np.ndarray, Callable]:
    """An orthonormal basis of the centred columns, and the map to it of other rows."""
    loc = x.mean(0)
    scale = np.where(x.std(0) > 0, x.std(0), 1.0)
    q, r, order = qr((x - loc) / scale, mode="economic", pivoting=True)
    size = np.abs(np.diag(r))
    rank = int((size > 1e-7 * size[0]).sum())
    kept, r = order[:rank], r[:rank, :rank]

    def apply(x):
        return solve_triangular(r, ((x - loc) / scale)[:, kept].T, trans="T").T

    return q[:, :rank], apply
