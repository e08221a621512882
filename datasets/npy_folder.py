"""A folder of `.npy` files, and one that streams fastest."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consilience.datasets.contents import Modalities
from consilience.datasets.files import check_regular, parsing
from consilience.datasets.roles import COVARIATE, FEATURES, MASK

if TYPE_CHECKING:
    from consilience.datasets.streaming import StreamedData

PREFIXES = {"values": "", "entries": MASK, "covariates": COVARIATE}


def open_folder(folder: Path, modalities: Modalities) -> dict[str, np.ndarray]:
    """Memory maps of its files by name, in alphabetical order, and of records by field.

    Hidden files are passed over, and all but `.npy` too if modalities are named.

    Raises:
        ValueError: a file is no `.npy`, damaged or of objects, a name stands twice, or
            there is none.
    """
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npy":
            for name, array in _fields(path).items():
                if name in found:
                    raise ValueError(
                        f"{path}: expected each name once, got {name!r} twice"
                    )
                found[name] = array
        elif modalities is None and not path.name.startswith("."):
            raise ValueError(
                f"{path}: expected .npy files only, got another; move it elsewhere, or "
                "name what to stream in `modalities`"
            )
    if not found:
        raise ValueError(f"{folder}: expected a file .npy for each modality, got none")
    return found


def write_folder(data: "StreamedData", folder: Path) -> None:
    """Copy everything into a new folder, in the units it came in.

    Raises:
        ValueError: the folder is there and not empty; a masked array of whole numbers.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ValueError(f"folder: expected a new or empty one, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    _write_records(data, folder / "rows.npy")
    np.save(folder / "present.npy", data.present)
    if data.row_names:
        np.save(folder / "row_names.npy", np.array(data.row_names))
    for name, given in data.stored.feature_names.items():
        np.save(folder / f"{FEATURES}{name}.npy", np.array(given))


def _fields(path: Path) -> dict[str, np.ndarray]:
    check_regular("source", path)
    with parsing(f"{path}", "a whole .npy file of numbers"):
        array = np.load(path, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray):
            raise ValueError("it is an archive")
    names = array.dtype.names
    return {path.stem: array} if names is None else {n: array[n] for n in names}


def _write_records(data: "StreamedData", path: Path) -> None:
    """Block by block; a map of the file would stay resident."""
    arrays = data.stored.arrays
    names = {key: f"{PREFIXES[key[0]]}{key[1]}" for key in arrays}
    kinds = [(names[key], x.dtype, x.shape[1:]) for key, x in arrays.items()]
    shape = {"dtype": np.dtype(kinds), "shape": (data.size,)}
    start = np.lib.format.open_memmap(path, "w+", **shape).offset
    with open(path, "r+b") as file:
        file.seek(start)
        for first, last in data.stored.pieces():
            block = np.zeros(last - first, kinds)
            for key, array in data.stored.pick(np.arange(first, last)).items():
                block[names[key]] = _unmasked(names[key], array)
            block.tofile(file)


def _unmasked(name: str, array: np.ndarray) -> np.ndarray:
    """NaN where NumPy's mask says so; whole numbers know none."""
    if not np.ma.is_masked(array):
        return np.ma.getdata(array)
    if array.dtype.kind != "f":
        raise ValueError(
            f"{name}: expected `entries` for missing whole numbers, got a masked array"
        )
    return array.filled(np.nan)
