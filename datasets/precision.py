"""What float32 cannot tell apart: found before the cast, kept in float64, and said."""

import math
import warnings
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool

MOST_ROWS, MOST_NUMBERS = 1000, 2**22  # that are looked at
SHARE = 0.1  # of distinct values that may merge: chance does less among 1000 floats
NOISE = 2.0**-44  # of a column's size: what sums in float64 leave behind
WHOLE = 2.0**24  # the first whole number whose successor float32 does not have


class Rounded(NamedTuple):
    """What the cast to float32 does to a modality.

    Attributes:
        column: the first one that it concerns, its place in `[*event]`.
        columns: how many there are.
        said: what becomes of the first one.
    """

    column: tuple[int, ...]
    columns: int
    said: str


def sample_rows(size: int, widths: Mapping[str, int]) -> np.ndarray:
    """Rows at even distances, at most 1000: the same ones in memory and on disk."""
    most = MOST_NUMBERS // max(1, *widths.values()) if widths else MOST_ROWS
    count = min(size, max(2, min(MOST_ROWS, most)))
    return np.unique(np.linspace(0, size - 1, count).astype(int))


def rounded(x: np.ndarray, observed: Bool[np.ndarray, "rows ..."]) -> Rounded | None:
    """Whether float32 merges or changes values of a column; None if not.

    It says so where more than a tenth of a column's distinct values merge, whole
    numbers of a column of whole numbers become others, or a value becomes zero. With 64
    bits nothing does.

    Args:
        x: `[N, *event]`, as it came.
        observed: of the same shape.
    """
    if jnp.result_type(float) != np.float32 or x.dtype.itemsize < 4 or not x.size:
        return None
    if x.dtype.kind != "f" or x.dtype == np.float32:  # whole numbers stay such
        return None
    values = np.where(observed, x, np.nan).astype(np.float64)
    cast = _as_float32(values)
    suspects = (observed & (cast != values)).any(0)
    if not suspects.any():
        return None
    before, after = (np.sort(v[:, suspects], 0) for v in (values, cast))
    wrong = np.zeros(suspects.shape, bool)
    vanished = (observed & (values != 0) & (cast == 0)).any(0)
    wrong[suspects] = _merged(before, after) | _changed(before, after)
    wrong |= vanished
    if not wrong.any():
        return None
    column = tuple(int(i) for i in np.argwhere(wrong)[0])
    of_column = (slice(None), *column)
    said = _said(values[of_column], cast[of_column])
    return Rounded(column, int(wrong.sum()), said)


def _as_float32(values: np.ndarray) -> np.ndarray:
    """As devices see them: what is below the smallest normal number is zero."""
    with np.errstate(over="ignore", under="ignore"):
        cast = values.astype(np.float32).astype(np.float64)
    return np.where(np.abs(cast) < np.finfo(np.float32).tiny, 0.0, cast)


def _distinct(ordered: np.ndarray) -> np.ndarray:
    """Of each column, NaN not counted."""
    return (np.diff(ordered, axis=0) > 0).sum(0) + ~np.isnan(ordered[0])


def _merged(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    first, last = before[0], np.fmax.reduce(before)
    varies = last - first > NOISE * np.fmax(np.abs(first), np.abs(last))
    distinct, left = _distinct(before), _distinct(after)
    return varies & (distinct - left > SHARE * distinct)


def _changed(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    missing, exact = np.isnan(before), WHOLE**2 * 32  # 2⁵³
    whole = missing | ((before == np.round(before)) & (np.abs(before) <= exact))
    large = (np.abs(before) > WHOLE) & (before != after)
    return whole.all(0) & large.any(0)


def _said(values: np.ndarray, cast: np.ndarray) -> str:
    known = ~np.isnan(values)
    changed = known & (values != cast)
    vanished = changed & (cast == 0)
    distinct, left = (len(np.unique(v[known])) for v in (values, cast))
    few = left < (1 - SHARE) * distinct
    if left < distinct and (few or not vanished.any()):
        return f"{left} of {distinct} distinct values are left"
    one = np.flatnonzero(vanished if vanished.any() else changed)[0]
    return f"{values[one]:.17g} becomes {cast[one]:.17g}"


def warn(found: Mapping[str, Rounded | None], labels: Mapping) -> None:
    """Say once what float32 rounds away, and what to do.

    Args:
        found: by what is called so in the sentence.
        labels: `Labels` by the same names.
    """
    said = [
        f"{name}, {labels[name].column(r.column)}: {r.said}"
        + f" ({r.columns} such columns)" * (r.columns > 1)
        for name, r in found.items()
        if r is not None
    ]
    if said:
        warnings.warn(
            f"float32 rounds what float64 tells apart: {'; '.join(said)}. standardize() "
            "scales values before it rounds them, but generated values in these units "
            "are rounded all the same, and so are covariates. Subtract a constant or "
            "change the unit first, or enable jax_enable_x64",
            stacklevel=2,
        )


def held(dtype: np.dtype, rounds: Rounded | None) -> np.dtype:
    """What values are held in: float64 on the host where float32 would merge them."""
    if rounds is not None:
        return np.dtype(np.float64)
    return np.dtype(jnp.result_type(float if np.dtype(dtype).kind == "f" else int))


def on_device(array: np.ndarray) -> jax.Array | np.ndarray:
    """An array as programs take it. float64 stays on the host where they have none."""
    waits = array.dtype == np.float64 and jnp.result_type(float) != np.float64
    return array if waits else jax.device_put(array)


def width(shape: tuple[int, ...]) -> int:
    """Numbers in a row of an array `[N, ...]`."""
    return math.prod(shape[1:])
