"""What `StreamedData` is made of: arrays on disk, looked at once, block by block."""

import dataclasses
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Bool

from consilience.datasets import precision, validation
from consilience.datasets.align import Columns, picked
from consilience.datasets.data import MultimodalData
from consilience.datasets.file_rows import Records, records
from consilience.datasets.moments import pieces
from consilience.datasets.names import texts_of
from consilience.datasets.stored_arrays import stored_rows
from consilience.datasets.stored_rows import StoredRows, pick


@dataclasses.dataclass(frozen=True, eq=False)
class Stored:
    """What `MultimodalData.from_arrays` takes, to be read block by block.

    Attributes:
        values: by modality.
        present: `[N, M]`, or `[N]` by modality, or None.
        covariates: by name.
        entries: by modality.
        row_names: one per row, or empty.
        feature_names: by modality.
    """

    values: dict[str, StoredRows]
    present: Bool[np.ndarray, "rows modalities"] | dict[str, np.ndarray] | None
    covariates: dict[str, StoredRows]
    entries: dict[str, StoredRows]
    row_names: tuple[str, ...]
    feature_names: dict[str, tuple[str, ...]]

    @property
    def size(self) -> int:
        """Number of rows N."""
        return next(iter(self.values.values())).shape[0]

    @property
    def arrays(self) -> dict[tuple[str, str], StoredRows]:
        """All of them, by kind and name."""
        kinds = ("values", "entries", "covariates")
        return {(kind, n): x for kind in kinds for n, x in getattr(self, kind).items()}

    @cached_property
    def _records(self) -> list[Records]:
        return records(self.arrays)

    def pick(self, rows: np.ndarray) -> dict[tuple[str, str], np.ndarray]:
        """Rows of all arrays as they are stored; what lies side by side in one read."""
        picked: dict[tuple[str, str], np.ndarray] = {}
        for several in self._records:
            picked |= several.pick(rows)
        alone = {key: x for key, x in self.arrays.items() if key not in picked}
        return picked | {key: pick(x, rows) for key, x in alone.items()}

    def with_columns(self, found: Mapping[str, Columns]) -> "Stored":
        """The same rows with other columns of some modalities."""

        def of(arrays):
            return {
                n: PickedRows(x, found[n]) if n in found else x
                for n, x in arrays.items()
            }

        return dataclasses.replace(
            self,
            values=of(self.values),
            entries=of(self.entries),
            feature_names=self.feature_names | {n: c.names for n, c in found.items()},
        )

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First and last row of pieces of a few megabytes."""
        shapes = [tuple(rows.shape[1:]) for rows in self.values.values()]
        return pieces(self.size, shapes)

    def blocks(
        self, dtypes: Mapping[str, np.dtype]
    ) -> Iterator[tuple[int, MultimodalData]]:
        """All rows in pieces, validated, and the number of each one's first."""
        for start, stop in self.pieces():
            yield start, self._block(start, stop, dtypes)

    def _block(self, start: int, stop: int, dtypes) -> MultimodalData:
        picked = self.pick(np.arange(start, stop))
        given = {
            kind: {name: picked[kind, name] for name in getattr(self, kind)}
            for kind in ("values", "covariates", "entries")
        }
        with counted_from(start):
            fields = validation.validate(
                present=jax.tree.map(lambda x: x[start:stop], self.present),
                row_names=self.row_names[start:stop] or None,
                feature_names=self.feature_names,
                allow_empty_rows=True,
                dtypes=dtypes,
                **given,
            )
        return MultimodalData(**fields)


class PickedRows:
    """Some columns of stored rows, in another order. See `StoredRows`."""

    def __init__(self, rows: StoredRows, columns: Columns):
        self._rows, self._columns = rows, columns
        self.dtype, self.shape = rows.dtype, (rows.shape[0], len(columns.names))

    def block(self, start: int, stop: int) -> np.ndarray:
        return self._picked(self._rows.block(start, stop))

    def gather(self, rows: np.ndarray) -> np.ndarray:
        return self._picked(self._rows.gather(rows))

    def _picked(self, x: np.ndarray) -> np.ndarray:
        if x.dtype == bool:
            return self._columns.observed(x)
        return picked(self._columns, x)


def describe(
    values, present, covariates, entries, *, row_names, feature_names
) -> Stored:
    """Arrays and names, checked as far as that goes without reading.

    Raises:
        ValueError: naming the argument, what was expected and what came.
    """
    values = validation._named(values)
    validation._known("entries", entries, tuple(values))
    validation._known("feature_names", feature_names, tuple(values))
    rows = {n: stored_rows(f"values[{n!r}]", x) for n, x in values.items()}
    size = next(iter(rows.values())).shape[0]
    return Stored(
        _of_size(size, "values", rows),
        _present(present, tuple(values), size),
        _of_size(size, "covariates", _all_rows("covariates", covariates)),
        _of_size(size, "entries", _all_rows("entries", entries)),
        validation.unique_names("row_names", row_names, size),
        {n: texts_of(f"feature_names[{n!r}]", x) for n, x in feature_names.items()},
    )


class Examined(NamedTuple):
    """What reading everything once tells.

    Attributes:
        present: `[N, M]`.
        schema: the first row, with all masks there are.
        dtypes: what values are held in, by modality.
    """

    present: Bool[np.ndarray, "rows modalities"]
    schema: MultimodalData
    dtypes: dict[str, np.dtype]


def examine(stored: Stored) -> Examined:
    """Read everything once; say what float32 rounds.

    Raises:
        ValueError: naming modality, row, column, what was expected and what came.
    """
    present, partial, first = [], set(stored.entries), None
    wide = {n: _widest(x.dtype) for n, x in stored.values.items()}
    arrays = stored.values | stored.covariates
    watched = validation.roundings(
        stored.size, {n: x.shape[1:] for n, x in arrays.items()}
    )
    for start, block in stored.blocks(wide):
        first = block.take([0]) if first is None else first
        present.append(np.asarray(block.present))
        partial |= set(block.entries)
        for name in block.names:
            watched[name].add(start, *block.arrays_of(name))
        for name, covariate in stored.covariates.items():
            x = np.ma.getdata(pick(covariate, np.arange(start, start + block.size)))
            watched[name].add(start, x, np.ones(x.shape, bool))
    masks = {name: first.observed(name) for name in first.names if name in partial}
    dtypes = validation.dtypes_of(watched, wide, first.labels())
    values = {
        n: precision.on_device(np.asarray(x).astype(dtypes[n]))
        for n, x in first.values.items()
    }
    schema = dataclasses.replace(first, values=values, entries=masks)
    return Examined(np.concatenate(present), schema, dtypes)


def _widest(dtype: np.dtype) -> np.dtype:
    wide = dtype.kind == "f" and dtype.itemsize > 4
    return np.dtype(np.float64) if wide else precision.held(dtype, None)


def _all_rows(argument: str, arrays: Mapping) -> dict[str, StoredRows]:
    return {n: stored_rows(f"{argument}[{n!r}]", x) for n, x in arrays.items()}


def _of_size(size: int, argument: str, arrays: dict[str, StoredRows]) -> dict:
    for name, rows in arrays.items():
        if rows.shape[0] != size:
            raise ValueError(
                f"{argument}[{name!r}]: expected {size} rows as in the first modality, got "
                f"shape {rows.shape}"
            )
    return arrays


def _present(given, names: tuple[str, ...], size: int):
    if given is None:
        return None
    if not isinstance(given, Mapping):
        return validation._booleans("present", given, (size, len(names)))
    validation._known("present", given, names)
    return {
        name: validation._booleans(f"present[{name!r}]", column, (size,))
        for name, column in given.items()
    }


@contextmanager
def counted_from(start: int) -> Iterator[None]:
    """In errors about a block, count its rows from the first row of all."""
    try:
        yield
    except ValueError as error:
        text = re.sub(
            r"(?<=[:,] row )\d+", lambda n: str(start + int(n[0])), str(error), count=1
        )
        raise ValueError(text) from error
