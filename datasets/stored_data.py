"""What `StreamedData` is made of: arrays on disk, looked at once, block by block."""

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property

import jax
import numpy as np
from jaxtyping import Bool

from consilience.datasets import validation
from consilience.datasets.data import MultimodalData
from consilience.datasets.file_rows import Records, records
from consilience.datasets.names import as_text
from consilience.datasets.stored_arrays import stored_rows
from consilience.datasets.stored_rows import StoredRows, pick

BLOCK = 2**24  # bytes that are looked at together


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

    def pieces(self) -> Iterator[tuple[int, int]]:
        """First and last row of pieces of a few megabytes."""
        width = sum(8 * math.prod(rows.shape[1:]) for rows in self.arrays.values())
        size = max(1, BLOCK // max(width, 1))
        for start in range(0, self.size, size):
            yield start, min(start + size, self.size)

    def blocks(self) -> Iterator[tuple[int, MultimodalData]]:
        """All rows in pieces, validated, and the number of each one's first."""
        for start, stop in self.pieces():
            yield start, self._block(start, stop)

    def _block(self, start: int, stop: int) -> MultimodalData:
        picked = self.pick(np.arange(start, stop))
        given = {
            kind: {name: picked[kind, name] for name in getattr(self, kind)}
            for kind in ("values", "covariates", "entries")
        }
        with counted_from(start):
            return MultimodalData.from_arrays(
                present=jax.tree.map(lambda x: x[start:stop], self.present),
                row_names=self.row_names[start:stop] or None,
                feature_names=self.feature_names,
                allow_empty_rows=True,
                **given,
            )


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
        {name: tuple(map(as_text, given)) for name, given in feature_names.items()},
    )


def examine(
    stored: Stored,
) -> tuple[Bool[np.ndarray, "rows modalities"], MultimodalData]:
    """Read everything once: who is present, and the first row with all masks there are.

    Raises:
        ValueError: naming modality, row, column, what was expected and what came.
    """
    present, partial, first = [], set(stored.entries), None
    for _, block in stored.blocks():
        first = block.take([0]) if first is None else first
        present.append(np.asarray(block.present))
        partial |= set(block.entries)
    masks = {name: first.observed(name) for name in first.names if name in partial}
    return np.concatenate(present), dataclasses.replace(first, entries=masks)


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
