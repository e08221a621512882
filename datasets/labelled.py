"""Measurements with their classes, in training and test parts, and an archive of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Int, Shaped

from consilience.datasets.archives import load_arrays
from consilience.datasets.names import few

LABELS = ("y", "label", "labels")


class Labelled(NamedTuple):
    """Measurements and their classes.

    Attributes:
        values: `[N, *event]`.
        labels: `[N]`, whole numbers.
    """

    values: Shaped[np.ndarray, "rows ..."]
    labels: Int[np.ndarray, " rows"]

    def take(self, rows: np.ndarray) -> "Labelled":
        """Some of them."""
        return Labelled(self.values[rows], self.labels[rows])


class Parts(NamedTuple):
    """What to train on, and what to test on.

    Attributes:
        train: measurements and classes.
        test: others.
    """

    train: Labelled
    test: Labelled


def read_labelled(path: Path) -> Parts:
    """Measurements and classes from an `.npz` file.

    One array has three axes or more; another, `y`, `label` or `labels`, has whole numbers.
    `is_test` says which rows are test rows; without it every fifth of each class is, in
    the order of the file. Other arrays are ignored.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged or has other arrays; a part has no rows.
    """
    arrays = load_arrays(path)
    given = _labelled(path.name, arrays)
    is_test = arrays.get("is_test")
    if is_test is None:
        is_test = _every_fifth(given.labels)
    if is_test.dtype != bool or is_test.shape != given.labels.shape:
        raise ValueError(
            f"{path.name}: is_test: expected {len(given.labels)} booleans, got "
            f"{is_test.dtype} of shape {is_test.shape}"
        )
    if is_test.all() or not is_test.any():
        raise ValueError(
            f"{path.name}: expected rows to train on and rows to test on, got "
            f"{int(is_test.sum())} of {len(is_test)} for testing"
        )
    return Parts(given.take(~is_test), given.take(is_test))


def labelled(place: str, values: np.ndarray, labels: np.ndarray) -> Labelled:
    """Checked: a class for each measurement.

    Raises:
        ValueError: there are other numbers of them, or classes that are no whole numbers.
    """
    if labels.shape != (len(values),) or labels.dtype.kind not in "iu":
        raise ValueError(
            f"{place}: expected {len(values)} whole numbers as classes, got "
            f"{labels.dtype} of shape {labels.shape}"
        )
    return Labelled(values, labels.astype(int))


def _labelled(place: str, arrays: dict[str, np.ndarray]) -> Labelled:
    values = [name for name, x in arrays.items() if x.ndim >= 3]
    labels = [name for name in LABELS if name in arrays]
    if len(values) != 1 or len(labels) != 1:
        raise ValueError(
            f"{place}: expected one array of three axes or more, measurements, and one "
            f"of {', '.join(LABELS)}, their classes, got {few(sorted(arrays)) or 'none'}"
        )
    return labelled(place, arrays[values[0]], arrays[labels[0]])


def _every_fifth(labels: np.ndarray) -> np.ndarray:
    is_test = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        is_test[np.flatnonzero(labels == label)[4::5]] = True
    return is_test
