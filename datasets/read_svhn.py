"""Street View House Numbers, cropped digits: two MATLAB files."""

import math
from pathlib import Path

import numpy as np

from consilience.datasets.files import check_fits, check_regular, parsing
from consilience.datasets.labelled import Labelled, Parts, labelled
from consilience.datasets.names import few

FILES = ("train_32x32.mat", "test_32x32.mat")
NAMES, WHOLE = ("X", "y"), "a whole MATLAB 5 file"
SIDE, ZERO = 32, 10  # MATLAB counts from 1: the digit 0 has the label 10
WANTED = (
    f"{FILES[0]} and {FILES[1]}, format 2 (cropped digits) of the Street View House "
    "Numbers data set, from its page at Stanford University (ufldl, housenumbers); "
    "extra_32x32.mat is not needed"
)


def read_svhn(folder: Path) -> Parts:
    """Images `[N, 32, 32, 3]` of bytes, and digits 0 to 9.

    Args:
        folder: has `train_32x32.mat` and `test_32x32.mat`.

    Raises:
        FileNotFoundError: a file is not there: what to get, and where from.
        ValueError: a file is damaged, or no such file.
    """
    folder = Path(folder)
    for name in FILES:
        if not (folder / name).exists():
            there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
            raise FileNotFoundError(
                f"{folder}: expected {name}, got {few(there) or 'no files'}. Put here "
                f"{WANTED}"
            )
    return Parts(*(read_cropped(folder / name) for name in FILES))


def read_cropped(path: Path) -> Labelled:
    """One file of cropped digits: X `[32, 32, 3, N]`, y `[N, 1]` from 1 to 10.

    Raises:
        ValueError: it is damaged, or has other arrays.
    """
    arrays = _load(path)
    images, labels = arrays.get("X"), arrays.get("y")
    if not (isinstance(images, np.ndarray) and isinstance(labels, np.ndarray)):
        found = [name for name in arrays if not name.startswith("__")]
        raise ValueError(
            f"{path.name}: expected arrays X and y, got {few(found) or 'none'}"
        )
    if images.shape[:3] != (SIDE, SIDE, 3) or images.ndim != 4 or images.dtype != "u1":
        raise ValueError(
            f"{path.name}: X: expected bytes of shape (32, 32, 3, N), got {images.dtype} "
            f"of shape {images.shape}; {WANTED}"
        )
    values = np.ascontiguousarray(np.moveaxis(images, 3, 0))
    given = labelled(f"{path.name}: y", values, labels.reshape(-1))
    if not np.isin(given.labels, np.arange(1, ZERO + 1)).all():
        raise ValueError(
            f"{path.name}: y: expected 1 to 10, where 10 is the digit 0, got "
            f"{given.labels.min()} to {given.labels.max()}"
        )
    return given._replace(labels=given.labels % ZERO)


def _load(path: Path) -> dict[str, object]:
    from scipy.io import loadmat, whosmat

    check_regular("folder", path)
    with parsing(path.name, WHOLE):
        listed = whosmat(path)
    check_fits(path.name, sum(_bytes(*one) for one in listed), WANTED)
    with parsing(path.name, WHOLE):
        return loadmat(path, variable_names=NAMES)


def _bytes(name: str, shape: tuple[int, ...], kind: str) -> int:
    return math.prod(shape) * (1 if kind.endswith("int8") else 8) * (name in NAMES)
