"""What float32 cannot tell apart: found before the cast, kept in float64, and said."""

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
_SMALLEST = float(np.finfo(np.float32).tiny)
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


class Rounding:
    """Whether float32 merges or changes values of a column, asked piece by piece.

    It does where more than a tenth of a column's distinct values merge, whole numbers of
    a column of whole numbers become others, or a value becomes zero. What merges is looked
    for in some rows, the others are looked at one by one. With 64 bits nothing does.

    Args:
        rows: numbers of the rows in which merged values are looked for.
        event_shape: of a row.
    """

    def __init__(self, rows: np.ndarray, event_shape: tuple[int, ...]):
        self._rows, self._some = rows, [np.zeros((0, *event_shape))]
        self._whole = np.ones(event_shape, bool)  # so far
        # by column, the first value of its kind; NaN while there is none
        self._changed = np.full(event_shape, np.nan)  # above 2²⁴
        self._vanished = np.full(event_shape, np.nan)

    def add(
        self, start: int, x: np.ndarray, observed: Bool[np.ndarray, "rows ..."]
    ) -> None:
        """Look at rows from `start` on, `[n, *event]`, as they came."""
        if jnp.result_type(float) != np.float32 or x.dtype.itemsize < 4 or not x.size:
            return
        if x.dtype.kind != "f" or x.dtype == np.float32:  # whole numbers stay such
            return
        values = np.where(observed, x, np.nan).astype(np.float64)
        rows = self._rows[(self._rows >= start) & (self._rows < start + len(x))]
        self._some.append(values[rows - start])
        size, exact = np.abs(values), 2.0**53
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            whole = ~observed | ((values == np.round(values)) & (size <= exact))
            other = (size > WHOLE) & (values.astype(np.float32) != values)
        self._whole &= whole.all(0)
        _first(self._changed, values, other)
        _first(self._vanished, values, (size > 0) & (size < _SMALLEST))

    def found(self) -> Rounded | None:
        """What became of all the rows that were added; None if nothing did."""
        before = np.concatenate(self._some)
        after = _as_float32(before)
        suspects = ((before != after) & ~np.isnan(before)).any(0)
        merged = np.zeros(suspects.shape, bool)
        if suspects.any():
            merged[suspects] = _merged(
                *(np.sort(v[:, suspects], 0) for v in (before, after))
            )
        vanished = ~np.isnan(self._vanished)
        changed = self._whole & ~np.isnan(self._changed)
        wrong = merged | vanished | changed
        if not wrong.any():
            return None
        column = tuple(int(i) for i in np.argwhere(wrong)[0])
        if merged[column]:
            of_column = (slice(None), *column)
            known = ~np.isnan(before[of_column])
            pair = (len(np.unique(v[of_column][known])) for v in (after, before))
            said = "{} of {} distinct values are left".format(*pair)
        else:
            value = (self._vanished if vanished[column] else self._changed)[column]
            said = f"{value:.17g} becomes {_as_float32(value):.17g}"
        return Rounded(column, int(wrong.sum()), said)


def _first(kept: np.ndarray, values: np.ndarray, chosen: np.ndarray) -> None:
    """Keep the first chosen value of each column that has none yet."""
    new = chosen.any(0) & np.isnan(kept)
    rows = np.expand_dims(chosen.argmax(0), 0)
    kept[new] = np.take_along_axis(values, rows, 0)[0][new]


def _as_float32(values: np.ndarray | np.floating) -> np.ndarray | np.floating:
    """As devices see them: what is below the smallest normal number is zero."""
    with np.errstate(over="ignore", under="ignore"):
        cast = values.astype(np.float32).astype(np.float64)
    return np.where(np.abs(values) < _SMALLEST, 0.0, cast)


def _distinct(ordered: np.ndarray) -> np.ndarray:
    """Of each column, NaN not counted."""
    return (np.diff(ordered, axis=0) > 0).sum(0) + ~np.isnan(ordered[0])


def _merged(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    first, last = before[0], np.fmax.reduce(before)
    varies = last - first > NOISE * np.fmax(np.abs(first), np.abs(last))
    distinct, left = _distinct(before), _distinct(after)
    return varies & (distinct - left > SHARE * distinct)


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
