"""Columns matched by name wherever data meet what a model was fitted on."""

import dataclasses
import warnings
from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from consilience.datasets.contents import Arrays
from consilience.datasets.names import few

if TYPE_CHECKING:
    from consilience.datasets.data import MultimodalData


REMEDY = (
    "train on data made with an entry mask for it, from_arrays(..., entries={...}), which "
    "may be all True"
)


class Columns(NamedTuple):
    """Where the columns of a fitted modality stand in other data.

    Attributes:
        names: of the fitted modality.
        index: `[D]`, the place of each in the data, −1 where they lack it.
        said: how the data differ.
    """

    names: tuple[str, ...]
    index: Int[np.ndarray, " columns"]
    said: str

    @property
    def lacking(self) -> list[str]:
        """Those that the data have not."""
        return [n for n, i in zip(self.names, self.index, strict=True) if i < 0]

    def pick(self, x: Array | np.ndarray) -> Array | np.ndarray:
        """Columns of `[N, *]` in the fitted order; what lacks holds anything."""
        return x[:, np.maximum(self.index, 0)]

    def observed(self, observed: Array | np.ndarray) -> Array | np.ndarray:
        """The same of a mask, False where the data lack a column."""
        return self.pick(observed) & (self.index >= 0)


def matched(
    ours: Mapping[str, Sequence[str]],
    theirs: Mapping[str, Sequence[str]],
    argument: str,
    masked: Container[str] | None = None,
    remedy: str = REMEDY,
) -> dict[str, Columns]:
    """By modality, where columns differ; says so once.

    Args:
        ours: names of columns by modality as fitted; empty where there are none.
        theirs: those of data. Without names on either side columns go by position.
        argument: what the sentence calls the data.
        masked: the only modalities that may lack columns; all of them by default.
        remedy: what helps where one may not.

    Raises:
        ValueError: a modality has none of the columns, or lacks some and may not.
    """
    both = [n for n in ours if ours[n] and theirs.get(n)]
    found = {n: _columns(argument, n, tuple(ours[n]), tuple(theirs[n])) for n in both}
    found = {n: columns for n, columns in found.items() if columns is not None}
    for name, columns in found.items():
        if masked is not None and columns.lacking and name not in masked:
            raise ValueError(
                f"{argument}: modality {name!r}: expected the columns of the training "
                f"rows, got none called {few(columns.lacking)}; its encoder was built for "
                f"rows that miss no single entries; {remedy}, or leave the modality out"
            )
    if found:
        said = "; ".join(f"modality {n!r}: {c.said}" for n, c in found.items())
        warnings.warn(
            f"{argument}: columns are matched by name with those of the training rows: "
            f"{said}. Results, and arrays beside these rows, have the columns of the "
            "training rows, in their order",
            stacklevel=3,
        )
    return found


def _columns(argument: str, name: str, ours: tuple, theirs: tuple) -> Columns | None:
    if ours == theirs:
        return None
    place = {column: i for i, column in enumerate(theirs)}
    index = np.array([place.get(column, -1) for column in ours])
    if (index < 0).all():
        raise ValueError(
            f"{argument}: modality {name!r}: expected columns among {few(ours)}, got "
            f"{few(theirs)}, of which none is known"
        )
    known, kept = set(ours), index[index >= 0]
    cut = [column for column in theirs if column not in known]
    lacking = [column for column in ours if column not in place]
    said = [f"{few(cut)} left out"] * bool(cut)
    said += [f"{few(lacking)} missing"] * bool(lacking)
    said += ["order restored"] * bool((np.diff(kept) < 0).any())
    return Columns(ours, index, ", ".join(said))


def names_of(data: "MultimodalData") -> dict[str, tuple[str, ...]]:
    """Names of columns by modality of one axis; of others there is no order to restore."""
    named = zip(data.names, data.feature_names, data.event_shapes, strict=False)
    return {name: columns for name, columns, shape in named if len(shape) == 1}


def align(
    data: "MultimodalData",
    like: "MultimodalData",
    argument: str,
    *,
    masked: Container[str] | None = None,
) -> "MultimodalData":
    """The same rows with the columns of `like`, in their order.

    A column that `data` lack is missing, and a row of which nothing is left of a modality
    lacks the modality.

    Args:
        data: rows.
        like: rows of the fit.
        argument: what errors call `data`.
        masked: the only modalities that may lack columns; all of them by default.

    Raises:
        ValueError: a modality has none of the columns, or lacks some and may not.
    """
    found = matched(names_of(like), names_of(data), argument, masked)
    for name, columns in found.items():
        data = _aligned(data, name, columns)
    return data


def _aligned(data: "MultimodalData", name: str, columns: Columns) -> "MultimodalData":
    i = data.index(name)
    observed = columns.observed(data.observed(name))
    present = jnp.asarray(data.present)
    present = present.at[:, i].set(present[:, i] & observed.any(-1))
    x = columns.pick(data.values[name])
    kind = jnp if isinstance(x, jax.Array) else np
    filled = kind.where(observed, x, kind.zeros_like(x))
    masks = {name: observed} if columns.lacking or name in data.entries else {}
    shapes, names = list(data.event_shapes), list(data.feature_names)
    shapes[i], names[i] = (len(columns.names),), columns.names
    return dataclasses.replace(
        data,
        values=data.values | {name: filled},
        present=present,
        entries=data.entries | masks,
        event_shapes=tuple(shapes),
        feature_names=tuple(names),
    )


def align_arrays(
    arrays: Arrays, like: "MultimodalData", argument: str, remedy: str
) -> Arrays:
    """`align` of what stands in files, in full precision, for encoders of `like`.

    Raises:
        ValueError: as of `align`.
    """
    theirs = {n: tuple(map(str, x)) for n, x in (arrays.feature_names or {}).items()}
    found = matched(names_of(like), theirs, argument, like.entries, remedy)
    values, entries = dict(arrays.values), dict(arrays.entries or {})
    for name, columns in found.items():
        values[name] = picked(columns, values[name])
        if name in entries:
            entries[name] = columns.observed(np.asarray(entries[name]))
    names = theirs | {name: columns.names for name, columns in found.items()}
    return arrays._replace(
        values=values, entries=entries or arrays.entries, feature_names=names
    )


def picked(columns: Columns, x: np.ndarray) -> np.ndarray:
    """Columns of an array of the host, masked where they lack."""
    x = np.ma.asanyarray(x)
    mask = ~columns.observed(~np.ma.getmaskarray(x))
    return np.ma.array(np.ma.getdata(columns.pick(x)), mask=mask)
