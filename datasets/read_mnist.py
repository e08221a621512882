"""MNIST and what is kept like it: four IDX files, or one `.npz` archive."""

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from consilience.datasets.archives import load_arrays
from consilience.datasets.files import check_regular
from consilience.datasets.labelled import Labelled, Parts, labelled
from consilience.datasets.names import few

ARCHIVE = "mnist.npz"
FILES = {"train": "train", "test": "t10k"}
KINDS = {"images": ("idx3", 3), "labels": ("idx1", 1)}
ENDINGS = ("", ".gz")
BYTES = 0x08  # the type that IDX files of MNIST have
MOST = 2**31
WANTED = (
    "train-images-idx3-ubyte, train-labels-idx1-ubyte, t10k-images-idx3-ubyte and "
    "t10k-labels-idx1-ubyte, each plain or with .gz, as the MNIST database of Yann LeCun, "
    f"Corinna Cortes and Christopher Burges has them; or {ARCHIVE} with x_train, y_train, "
    "x_test and y_test, as Keras keeps it"
)


def read_mnist(folder: Path) -> Parts:
    """Images `[N, H, W]` of bytes, and digits.

    Args:
        folder: has the four IDX files, plain or gzipped, or `mnist.npz`; or that archive
            itself.

    Raises:
        FileNotFoundError: a file is not there: what to get, and where from.
        ValueError: a file is damaged, or no such file.
    """
    folder = Path(folder)
    archive = folder / ARCHIVE if folder.is_dir() else folder
    if archive.exists() and not archive.is_dir():
        return _from_archive(archive)
    return Parts(*(_from_idx(folder, first) for first in FILES.values()))


def read_idx(path: Path, dims: int) -> np.ndarray:
    """Bytes of an IDX file of so many axes, plain or gzipped.

    Raises:
        ValueError: the file is damaged or of another kind.
    """
    check_regular("path", path)
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rb") as file:
            head = file.read(4 * (1 + dims))
            shape = _shape(path.name, head, dims)
            content = file.read(math.prod(shape) + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path.name}: expected a whole file ({error})") from error
    if len(content) != math.prod(shape):
        raise ValueError(
            f"{path.name}: expected {math.prod(shape)} bytes for shape {shape}, got "
            f"{'more' if len(content) > math.prod(shape) else len(content)}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)


def _shape(name: str, head: bytes, dims: int) -> tuple[int, ...]:
    if len(head) < 4 * (1 + dims) or head[:4] != bytes([0, 0, BYTES, dims]):
        raise ValueError(
            f"{name}: expected an IDX file of bytes with {dims} axes, which begins with "
            f"{bytes([0, 0, BYTES, dims]).hex(' ')}, got {head[:4].hex(' ') or 'nothing'}"
        )
    shape = tuple(int(n) for n in np.frombuffer(head, ">u4", offset=4))
    if not 0 < math.prod(shape) < MOST:
        raise ValueError(f"{name}: expected 1 to {MOST - 1} bytes, got shape {shape}")
    return shape


def _from_idx(folder: Path, first: str) -> Labelled:
    images, labels = (
        read_idx(_found(folder, f"{first}-{kind}", idx), dims)
        for kind, (idx, dims) in KINDS.items()
    )
    return labelled(f"{first}-labels", images, labels)


def _found(folder: Path, stem: str, idx: str) -> Path:
    """Some write a dot where others have a dash."""
    names = [f"{stem}{s}{idx}-ubyte{end}" for s in "-." for end in ENDINGS]
    for name in names:
        if (folder / name).exists():
            check_regular("folder", folder / name)
            return folder / name
    there = sorted(p.name for p in folder.iterdir()) if folder.is_dir() else []
    raise FileNotFoundError(
        f"{folder}: expected {names[0]}, got {few(there) or 'no files'}. Put here {WANTED}"
    )


def _from_archive(path: Path) -> Parts:
    arrays = load_arrays(path)
    names = [f"{letter}_{part}" for part in FILES for letter in "xy"]
    missing = [name for name in names if name not in arrays]
    if missing:
        raise ValueError(
            f"{path.name}: expected arrays {', '.join(names)}, got "
            f"{few(sorted(arrays)) or 'none'}"
        )
    return Parts(*(_part(path.name, arrays, part) for part in FILES))


def _part(place: str, arrays: dict[str, np.ndarray], part: str) -> Labelled:
    images = arrays[f"x_{part}"]
    if images.ndim != 3 or images.dtype != np.uint8:
        raise ValueError(
            f"{place}: x_{part}: expected images [N, H, W] of bytes, got {images.dtype} "
            f"of shape {images.shape}"
        )
    return labelled(f"{place}: y_{part}", images, arrays[f"y_{part}"])
