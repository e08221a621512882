"""Rows of plain arrays in files: read, not mapped, so that nothing stays resident."""

import math
import mmap
import os
import sys
import weakref
from collections.abc import Hashable, Mapping, Sequence
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np

from consilience.datasets.stored_rows import StoredRows, pick

AT_ONCE = 2**30  # bytes that one call is asked for


class Place(NamedTuple):
    """Where rows lie in a file.

    Attributes:
        path: of the file.
        offset: bytes before the first row.
        stride: bytes from each row to the next.
    """

    path: Path
    offset: int
    stride: int


class FileRows:
    """Rows at equal distances in a file. See `StoredRows`.

    Args:
        place: where they are.
        dtype: of the array.
        shape: `[N, ...]`; each row's entries lie side by side.
    """

    def __init__(self, place: Place, dtype: np.dtype, shape: Sequence[int]):
        self.place, self.dtype, self.shape = place, dtype, tuple(shape)
        self.width = dtype.itemsize * math.prod(shape[1:])
        self._file = os.open(place.path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def __reduce__(self) -> tuple:
        """A copy opens the file itself: numbers of open files are of one process."""
        return FileRows, (self.place, self.dtype, self.shape)

    def block(self, start: int, stop: int) -> np.ndarray:
        _, offset, stride = self.place
        if stride != self.width:
            return self.gather(np.arange(start, stop))
        cuts = range(offset + start * stride, offset + stop * stride, AT_ONCE)
        raw = [os.pread(self._file, min(AT_ONCE, cuts.stop - c), c) for c in cuts]
        return self._shaped(b"".join(raw), stop - start)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        _, offset, stride = self.place
        places = (offset + rows.astype(np.int64) * stride).tolist()
        raw = map(os.pread, repeat(self._file), repeat(self.width), places)
        return self._shaped(b"".join(raw), len(rows))

    def _shaped(self, raw: bytes, count: int) -> np.ndarray:
        if len(raw) != count * self.width:
            raise OSError(
                f"{self.place.path}: expected {self.shape[0]} rows of {self.width} bytes, "
                "but the file ends before"
            )
        return np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])


class Records:
    """Arrays whose rows lie side by side in the records of one file: read together.

    Args:
        arrays: by name, in the order of their places.
    """

    def __init__(self, arrays: Mapping[Hashable, FileRows]):
        first, *_, last = arrays.values()
        self.arrays, self._start = arrays, first.place.offset
        width = last.place.offset + last.width - self._start
        shape = (first.shape[0], width)
        self._rows = FileRows(first.place, np.dtype("u1"), shape)

    def pick(self, rows: np.ndarray) -> dict[Hashable, np.ndarray]:
        """Rows of each array by their numbers."""
        read = pick(self._rows, rows)
        return {name: self._part(read, rows) for name, rows in self.arrays.items()}

    def _part(self, read: np.ndarray, rows: FileRows) -> np.ndarray:
        start = rows.place.offset - self._start
        part = np.ascontiguousarray(read[:, start : start + rows.width])
        return part.view(rows.dtype).reshape(len(read), *rows.shape[1:])


def records(arrays: Mapping[Hashable, StoredRows]) -> list[Records]:
    """All that lie in the same records as others."""
    of_files = {n: rows for n, rows in arrays.items() if isinstance(rows, FileRows)}
    ordered = sorted(of_files, key=lambda name: of_files[name].place)
    groups: list[dict[Hashable, FileRows]] = []
    for name in ordered:
        rows = of_files[name]
        if groups and _side_by_side(next(iter(groups[-1].values())), rows):
            groups[-1][name] = rows
        else:
            groups.append({name: rows})
    return [Records(group) for group in groups if len(group) > 1]


def _side_by_side(first: FileRows, other: FileRows) -> bool:
    (path, offset, stride), theirs = first.place, other.place
    end = theirs.offset + other.width
    same = (path, stride, first.shape[0]) == (
        theirs.path,
        theirs.stride,
        other.shape[0],
    )
    return same and end - offset <= stride


def place_of(array) -> Place | None:
    """Where the rows of an array lie in a file, if they can be read from there."""
    return _in_memory_map(array) or _in_hdf5(array)


def _in_memory_map(array) -> Place | None:
    """Of a map, or of a part of one: some rows, some columns, a field of records."""
    root = array
    while isinstance(getattr(root, "base", None), np.memmap):
        root = root.base
    if not isinstance(root, np.memmap) or not isinstance(root.base, mmap.mmap):
        return None
    if root.filename is None or root.mode == "c":
        return None
    offset = root.offset + array.ctypes.data - root.ctypes.data
    return Place(Path(root.filename), offset, array.strides[0])


def _in_hdf5(array) -> Place | None:
    """Of a data set that is neither chunked nor still being written."""
    h5py = sys.modules.get("h5py")
    if h5py is None or not isinstance(array, h5py.Dataset) or array.chunks is not None:
        return None
    plain = array.external is None and not array.is_virtual
    offset, file = array.id.get_offset() if plain else None, array.file
    if (
        offset is None
        or file.mode != "r"
        or file.driver != "sec2"
        or file.userblock_size
    ):
        return None
    stride = array.dtype.itemsize * math.prod(array.shape[1:])
    return Place(Path(file.filename), offset, stride)
