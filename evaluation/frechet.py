"""Fréchet distance between two sets of measurements, in a space of features."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Num


def frechet_distance(
    x: Num[Array | np.ndarray, "rows ..."],
    y: Num[Array | np.ndarray, "other_rows ..."],
    features: Callable | None = None,
) -> float:
    """Squared Fréchet distance of Gaussians fitted to features (Heusel et al. 2017, FID).

        ‖μ_x − μ_y‖² + tr Σ_x + tr Σ_y − 2 tr (Σ_x^½ Σ_y Σ_x^½)^½

    The last trace is the sum of the singular values of Σ_x^½ Σ_y^½, which is exact for
    singular covariances too, such as those of fewer rows than features.

    Biased upwards, by more the fewer rows there are: two samples of one law are not at
    0. Compare only distances of equally many rows.

    Args:
        x: measurements `[N, *event]`, such as real ones.
        y: measurements `[N', *event]`, such as generated ones.
        features: maps `[N, *event]` to `[N, F]`, such as a layer of a trained network;
            by default the measurements themselves, flattened.

    Returns:
        the squared distance in squared units of the features, 0 or more.

    Raises:
        ValueError: fewer than 2 rows, numbers that are not finite, features of another
            shape or of different widths.
    """
    x, y = _features("x", x, features), _features("y", y, features)
    if x.shape[1] != y.shape[1]:
        raise ValueError(
            f"y: expected {x.shape[1]} features as x has, got {y.shape[1]}"
        )
    shift = x.mean(0) - y.mean(0)
    root_x, root_y = _root_of_covariance(x), _root_of_covariance(y)
    overlap = np.linalg.svd(root_x @ root_y, compute_uv=False).sum()
    spread = (root_x**2).sum() + (root_y**2).sum() - 2 * overlap
    return float(shift @ shift + max(spread, 0.0))


def _root_of_covariance(x: np.ndarray) -> np.ndarray:
    """The symmetric square root; its squared entries sum to the trace."""
    variances, vectors = np.linalg.eigh(np.atleast_2d(np.cov(x, rowvar=False)))
    return (vectors * np.sqrt(np.maximum(variances, 0.0))) @ vectors.T


def _features(name: str, values: object, features: Callable | None) -> np.ndarray:
    values = np.asarray(values)
    count = len(values)
    found = values.reshape(count, -1) if features is None else features(values)
    found = np.asarray(found).astype(float)
    if found.ndim != 2 or len(found) != count:
        raise ValueError(
            f"features: expected shape ({count}, F) for {name}, got {found.shape}"
        )
    if count < 2:
        raise ValueError(f"{name}: expected 2 rows or more, got {count}")
    if not np.isfinite(found).all():
        bad = int((~np.isfinite(found)).any(1).argmax())
        raise ValueError(f"{name}: expected finite features, but row {bad} has others")
    return found
