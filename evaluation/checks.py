"""Refuses numbers that a metric would silently get wrong."""

import numpy as np
from jaxtyping import Float


def varying_columns(name: str, x: object) -> Float[np.ndarray, "rows dims"]:
    """Finite numbers `[N, D]` in double precision, no column of them constant."""
    x = np.asarray(x)
    eps = np.finfo(x.dtype).eps if x.dtype.kind == "f" else 0.0
    x = x.astype(float)
    if x.ndim != 2 or not x.size:
        raise ValueError(f"{name}: expected an array [N, D], got shape {x.shape}")
    if not np.isfinite(x).all():
        row, column = np.argwhere(~np.isfinite(x))[0]
        raise ValueError(
            f"{name}: expected finite numbers, got {x[row, column]} in row {row}, column "
            f"{column}"
        )
    constant = x.std(0) <= 8 * eps * np.abs(x.mean(0))
    if constant.any():
        raise ValueError(
            f"{name}: expected columns that vary, but column {int(constant.argmax())} is "
            "constant and correlates with nothing"
        )
    return x
