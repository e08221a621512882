"""Rows of arrays that stay where they are: some in a row, or any, one by one."""

import math
import mmap
import os
import sys
import weakref
from itertools import repeat
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np


@runtime_checkable
class StoredRows(Protocol):
    """An array `[N, ...]` that is read a few rows at a time."""

    shape: tuple[int, ...]
    dtype: np.dtype

    def block(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`."""

    def gather(self, rows: np.ndarray) -> np.ndarray:
        """Rows by their numbers."""


class FileRows:
    """Rows of a plain array in a file. They are read, not mapped: nothing stays resident.

    Args:
        path: the file.
        dtype: of the array.
        shape: `[N, ...]`, rows stored together.
        offset: bytes before the first row.
    """

    def __init__(
        self,
        path: str | os.PathLike,
        dtype: np.dtype,
        shape: tuple[int, ...],
        offset: int,
    ):
        self.path, self.dtype, self.shape = Path(path), dtype, tuple(shape)
        self._offset, self._width = offset, dtype.itemsize * math.prod(shape[1:])
        self._file = os.open(path, os.O_RDONLY)
        weakref.finalize(self, os.close, self._file)

    def block(self, start: int, stop: int) -> np.ndarray:
        width = self._width
        raw = os.pread(self._file, (stop - start) * width, self._offset + start * width)
        return self._shaped(raw, stop - start)

    def gather(self, rows: np.ndarray) -> np.ndarray:
        places = (self._offset + rows.astype(np.int64) * self._width).tolist()
        read = map(os.pread, repeat(self._file), repeat(self._width), places)
        return self._shaped(b"".join(read), len(rows))

    def _shaped(self, raw: bytes, count: int) -> np.ndarray:
        if len(raw) != count * self._width:
            raise OSError(
                f"{self.path}: expected {self.shape[0]} rows of {self._width} bytes, but "
                "the file ends before"
            )
        return np.frombuffer(raw, self.dtype).reshape(count, *self.shape[1:])


class IndexedRows:
    """Rows of what takes slices and numbers: NumPy, zarr, HDF5, sparse rows of AnnData."""

    def __init__(self, array):
        self.dtype, self.shape = np.dtype(array.dtype), tuple(array.shape)
        self._array, self._picker = array, getattr(array, "oindex", array)

    def block(self, start: int, stop: int) -> np.ndarray:
        return _dense(self._array[start:stop])

    def gather(self, rows: np.ndarray) -> np.ndarray:
        increasing, back = np.unique(rows, return_inverse=True)
        return _dense(self._picker[increasing])[back]


def pick(stored: StoredRows, rows: np.ndarray) -> np.ndarray:
    """Rows by their numbers, together if they follow one another."""
    if len(rows) and (np.diff(rows) == 1).all():
        return stored.block(int(rows[0]), int(rows[-1]) + 1)
    return stored.gather(rows)


def stored_rows(argument: str, array) -> StoredRows:
    """Rows of an array in a file if it can be read from there directly, else of anything.

    Raises:
        ValueError: no array of numbers, or one in a file whose columns are stored
            together, so that each row is all over it.
    """
    if not hasattr(array, "shape") or not hasattr(array, "dtype"):
        array = np.asanyarray(array)
    if np.dtype(array.dtype).kind not in "fiub":
        raise ValueError(
            f"{argument}: expected floats, integers or booleans, got dtype {array.dtype}"
        )
    if not array.shape or array.shape[0] == 0:
        raise ValueError(
            f"{argument}: expected an array with rows, got shape {tuple(array.shape)}"
        )
    place = _in_memory_map(array) or _in_hdf5(array)
    scattered = place and isinstance(array, np.ndarray) and not array.flags.c_contiguous
    if scattered or getattr(array, "format", "csr") == "csc":
        raise ValueError(
            f"{argument}: expected an array whose rows are stored together, got one by "
            "columns; write it anew from np.ascontiguousarray, or from a csr matrix"
        )
    if place is None or not hasattr(os, "pread"):
        return IndexedRows(array)
    path, offset = place
    return FileRows(path, np.dtype(array.dtype), array.shape, offset)


def _in_memory_map(array) -> tuple[str | os.PathLike, int] | None:
    """File and place of a map of it, or of a part of one."""
    root = array
    while isinstance(getattr(root, "base", None), np.memmap):
        root = root.base
    if not isinstance(root, np.memmap) or not isinstance(root.base, mmap.mmap):
        return None
    if root.filename is None or root.mode == "c":
        return None
    return root.filename, root.offset + array.ctypes.data - root.ctypes.data


def _in_hdf5(array) -> tuple[str, int] | None:
    """File and place of a data set that is neither chunked nor still being written."""
    h5py = sys.modules.get("h5py")
    if h5py is None or not isinstance(array, h5py.Dataset) or array.chunks is not None:
        return None
    plain = array.external is None and not array.is_virtual
    offset, file = array.id.get_offset() if plain else None, array.file
    if offset is None or file.mode != "r" or file.driver != "sec2":
        return None
    return None if file.userblock_size else (file.filename, offset)


def _dense(picked) -> np.ndarray:
    if hasattr(picked, "toarray"):
        return picked.toarray()
    return picked if isinstance(picked, np.ndarray) else np.asarray(picked)
