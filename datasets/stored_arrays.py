"""What an array on disk is read by."""

import os

import numpy as np

from consilience.datasets.file_rows import FileRows, place_of
from consilience.datasets.read_frames import check_array, is_frame
from consilience.datasets.stored_rows import IndexedRows, StoredRows


def stored_rows(argument: str, array) -> StoredRows:
    """Rows of an array in a file if it can be read from there directly, else of anything.

    Raises:
        ValueError: no array of numbers, or one in a file whose columns are stored
            together, so that each row is all over it.
    """
    if is_frame(array):
        raise TypeError(
            f"{argument}: expected an array, got a DataFrame, whose names would be lost; "
            "consilience.read and MultimodalData.from_arrays match rows by them"
        )
    check_array(argument, array)
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
    place = place_of(array)
    scattered = (
        place is not None and isinstance(array, np.ndarray) and not _side_by_side(array)
    )
    if scattered or getattr(array, "format", "csr") == "csc":
        raise ValueError(
            f"{argument}: expected an array whose rows are stored together, got one by "
            "columns; write it anew from np.ascontiguousarray, or from a csr matrix"
        )
    if place is None or not hasattr(os, "pread"):
        return IndexedRows(array)
    return FileRows(place, np.dtype(array.dtype), array.shape)


def _side_by_side(array: np.ndarray) -> bool:
    """Whether the entries of each row are, and rows follow one another."""
    row = array[0] if array.ndim > 1 else array[:1]
    return row.flags.c_contiguous and array.strides[0] >= row.nbytes
