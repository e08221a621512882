"""`StreamedData`: several measurements of the same rows, which stay on disk."""

import dataclasses
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Array, Bool, Int

from consilience.datasets import precision, validation
from consilience.datasets.align import matched, names_of
from consilience.datasets.checks import check_arguments, check_standardize, rows_at
from consilience.datasets.data import MultimodalData
from consilience.datasets.moments import fit_scaling
from consilience.datasets.npy_folder import write_folder
from consilience.datasets.standardization import Standardization
from consilience.datasets.stored_data import Stored, counted_from, describe, examine


@dataclasses.dataclass(frozen=True, eq=False)
class StreamedData:
    """Rows on disk, of which a few are in memory at a time. See `MultimodalData`.

    Build it with `from_arrays` or `stream`, which read everything once and validate it.

    Attributes:
        stored: the arrays, in the units they came in.
        present: `[N, M]`, True where a modality was measured; in memory.
        schema: the first row, which says what any of them looks like.
        dtypes: what unscaled values are held in, by modality: float64 where float32 would
            merge them.
    """

    stored: Stored
    present: Bool[np.ndarray, "rows modalities"]
    schema: MultimodalData
    dtypes: dict[str, np.dtype]

    @classmethod
    def from_arrays(
        cls,
        values: Mapping[str, object] | Sequence[tuple[str, object]],
        present: object = None,
        covariates: Mapping[str, object] | None = None,
        *,
        entries: Mapping[str, object] | None = None,
        row_names: Iterable[str | bytes] | None = None,
        feature_names: Mapping[str, Iterable[str | bytes]] | None = None,
        allow_empty_rows: bool = False,
    ) -> "StreamedData":
        """As `MultimodalData.from_arrays`, of arrays that are larger than memory.

        Values, entries and covariates may be memory-mapped `.npy` files, arrays of zarr or
        HDF5, `X` of a backed `AnnData`, arrays in memory. Files must not change afterwards.

        Raises:
            ValueError: naming modality, row, column, what was expected and what came.
        """
        stored = describe(
            values,
            present,
            covariates or {},
            entries or {},
            row_names=row_names,
            feature_names=feature_names or {},
        )
        found = examine(stored)
        if not allow_empty_rows:
            validation._check_empty(found.present, stored.row_names)
        return cls(stored, *found)

    @property
    def size(self) -> int:
        """Number of rows N."""
        return self.stored.size

    @property
    def names(self) -> tuple[str, ...]:
        """The modalities, in the order of `present`'s columns."""
        return self.schema.names

    @property
    def row_names(self) -> tuple[str, ...]:
        """One per row, or empty."""
        return self.stored.row_names

    @property
    def standardization(self) -> Standardization | None:
        """How values are scaled, None if they are not."""
        return self.schema.standardization

    def read(self, rows: Int[np.ndarray, " rows"]) -> dict[str, object]:
        """Arrays of some rows, scaled, in memory of the host, as `assemble` takes them.

        Raises:
            IndexError: there are no such rows.
        """
        if len(rows) and not 0 <= rows.min() <= rows.max() < self.size:
            raise IndexError(
                f"rows: expected numbers from 0 to {self.size - 1}, got {rows.min()} to "
                f"{rows.max()}"
            )
        raw, present, values, entries = (
            self.stored.pick(rows),
            self.present[rows],
            {},
            {},
        )
        for i, name in enumerate(self.names):
            given = raw["values", name], raw.get(("entries", name)), present[:, i]
            values[name], observed = self._filled(name, *given)
            if self.standardization is not None:
                values[name] = self.standardization.scaled(name, values[name], observed)
            if name in self.schema.entries:
                entries[name] = observed
        covariates = {
            name: raw["covariates", name].astype(array.dtype)
            for name, array in self.schema.covariates.items()
        }
        return {
            "values": values,
            "present": present,
            "entries": entries,
            "covariates": covariates,
        }

    def _filled(
        self, name: str, raw: np.ndarray, given: np.ndarray | None, present: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Values with zeros where they are missing, and where they are not."""
        array, dtype = np.ma.getdata(raw), self.dtypes[name]
        observed = validation._observed(name, raw, given, array)
        observed &= present.reshape((-1,) + (1,) * (array.ndim - 1))
        if not observed.all():
            array = np.where(observed, array, np.zeros((), array.dtype))
        return array.astype(dtype, copy=False), observed

    def take(
        self, index: int | np.ndarray | Array | Sequence[int] | slice
    ) -> MultimodalData:
        """Rows as a data set in memory, as of `MultimodalData.take`."""
        rows = rows_at(self.size, index)
        names = tuple(self.row_names[i] for i in rows) if self.row_names else ()
        like = dataclasses.replace(self.schema, row_names=names)
        return assemble(like, jax.tree.map(precision.on_device, self.read(rows)))

    def batch(self, index: Array | np.ndarray) -> MultimodalData:
        """Rows that stand for the whole data set, as of `MultimodalData.batch`."""
        return dataclasses.replace(self.take(index).bare(), total=self.size)

    def blocks(self) -> Iterator[tuple[int, MultimodalData]]:
        """All rows in pieces of a few megabytes, and the number of each one's first."""
        for start, stop in self.stored.pieces():
            yield start, self.take(slice(start, stop))

    def standardize(
        self,
        names: Sequence[str] | None = None,
        like: "MultimodalData | StreamedData | None" = None,
        *,
        log: Sequence[str] = (),
    ) -> "StreamedData":
        """As of `MultimodalData`: files stay as they are, rows are scaled when read.

        Without `like` everything is read once more; moments are summed in float64.
        """
        check_arguments(self.schema, names, like, log)
        rows = self if like is None else self._aligned(like.schema)
        check_standardize(rows.schema, names, like, log)
        fitted = rows._fit(names, log) if like is None else like.standardization
        if like is not None:
            rows._check_scalable(like)
        schema = dataclasses.replace(rows.schema, standardization=fitted)
        scaled = dataclasses.replace(rows, schema=schema)
        first = dataclasses.replace(scaled.take([0]), entries=schema.entries)
        return dataclasses.replace(scaled, schema=first)

    def _aligned(self, like: MultimodalData) -> "StreamedData":
        """The same rows with the columns of `like`, picked when they are read."""
        found = matched(names_of(like), names_of(self.schema), "standardize")
        if not found:
            return self
        stored = self.stored.with_columns(found)
        return StreamedData(stored, *examine(stored))

    def _fit(self, names: Sequence[str] | None, log: Sequence[str]) -> Standardization:
        floats = [n for n in self.names if n in log or self.dtypes[n].kind == "f"]
        chosen = floats if names is None else names

        def blocks():
            for start, block in self.stored.blocks(self.dtypes):
                with counted_from(start):
                    check_standardize(block, names, None, log)
                yield {name: block.arrays_of(name) for name in chosen}

        return fit_scaling(blocks(), log, self.schema.labels())

    def _check_scalable(self, like: "MultimodalData | StreamedData") -> None:
        """Refuse values that have no logarithm, of modalities that need one."""
        if like.standardization.log:
            for start, block in self.stored.blocks(self.dtypes):
                with counted_from(start):
                    check_standardize(block, None, like, ())

    def save(self, folder: str | os.PathLike) -> None:
        """Copy everything, unscaled, into the files that stream fastest.

        `rows.npy` has the rows side by side, with a field for each array.

        Raises:
            ValueError: the folder is there and not empty.
        """
        write_folder(self, Path(folder))


def assemble(like: MultimodalData, arrays: Mapping[str, object]) -> MultimodalData:
    """Rows of `StreamedData.read`, described as `like` is. `arrays` may be traced."""
    return dataclasses.replace(like, **arrays)
