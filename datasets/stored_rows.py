"""Rows of arrays that stay where they are: some in a row, or any, one by one."""

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


def _dense(picked) -> np.ndarray:
    if hasattr(picked, "toarray"):
        return picked.toarray()
    return picked if isinstance(picked, np.ndarray) else np.asarray(picked)
