"""Subsets by the names of their modalities, and what rows are worth as evidence."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float

from consilience.datasets.data import MultimodalData


class Given(NamedTuple):
    """One subset S in the rows of a data set.

    Attributes:
        names: the modalities of S, in the order of the data.
        subset: `[N, M]`, S as far as present.
        rows: `[N]`, True where any of S is present.
    """

    names: tuple[str, ...]
    subset: Bool[Array, "rows modalities"]
    rows: Bool[np.ndarray, " rows"]


def named_subsets(
    data: MultimodalData, subsets: Sequence[Sequence[str]] | None
) -> tuple[Given, ...]:
    """Subsets as masks; by default each single modality, all but each, and all.

    Raises:
        ValueError: a name is unknown, a subset is empty or comes twice, or no row has any
            of it.
    """
    wanted = _usual(data.names) if subsets is None else subsets
    found = [_given(data, names) for names in wanted]
    every = [given.names for given in found]
    twice = [names for names in every if every.count(names) > 1]
    if not found or twice:
        raise ValueError(
            f"subsets: expected one or more, each once, got {twice[:1] or 'none'}"
        )
    return tuple(found)


def _usual(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    singles = [(name,) for name in names]
    rests = [tuple(n for n in names if n != name) for name in names]
    return [s for s in dict.fromkeys([*singles, *rests, names]) if s]


def _given(data: MultimodalData, names: Sequence[str]) -> Given:
    if isinstance(names, str) or not len(names):
        raise ValueError(
            f"subsets: expected tuples of one or more names, got {names!r}"
        )
    subset = data.subset_of(*names)
    rows = np.asarray(subset.any(-1))
    if not rows.any():
        raise ValueError(f"subsets: expected rows with any of {names}, got none")
    return Given(tuple(n for n in data.names if n in names), subset, rows)


class Mean(NamedTuple):
    """A mean over rows.

    Attributes:
        value: the mean.
        standard_error: over rows; nan for a single row.
    """

    value: float
    standard_error: float


def mean_of_rows(values: Float[np.ndarray, "... rows"]) -> Mean:
    """Mean of the means of several series, nan where a row does not count.

    A row counts as one draw whatever the number of series that it stands in.
    """
    values = values.reshape(-1, values.shape[-1])
    counts = ~np.isnan(values)
    sizes = counts.sum(-1, keepdims=True)
    if not sizes.all():
        return Mean(np.nan, np.nan)
    filled = np.where(counts, values, 0.0)
    means = filled.sum(-1, keepdims=True) / sizes
    parts = np.where(counts, filled - means, 0.0) / sizes
    rows = int(counts.any(0).sum())
    variance = (parts.mean(0) ** 2).sum() * rows / max(rows - 1, 1)
    error = float(np.sqrt(variance)) if rows > 1 else np.nan
    return Mean(float(means.mean()), error)
