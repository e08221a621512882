"""A folder of `.npy` files: the layout that streams fastest, and how to get there."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consilience.datasets.contents import Modalities
from consilience.datasets.read_npz import FEATURES, MASK
from consilience.datasets.stored_rows import StoredRows

if TYPE_CHECKING:
    from consilience.datasets.streaming import StreamedData

BYTES = 2**24  # that are copied together


def open_folder(folder: Path, modalities: Modalities) -> dict[str, np.ndarray]:
    """Memory maps of its files by name, in alphabetical order.

    Hidden files are passed over, and all but `.npy` too if modalities are named.

    Raises:
        ValueError: a file is no `.npy`, damaged or of objects, or there is none.
    """
    found = {}
    for path in sorted(folder.iterdir()):
        if path.suffix == ".npy":
            found[path.stem] = _open(path)
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
        ValueError: the folder is there and not empty.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"folder: expected a new or empty one, got {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    stored, names = data.stored, sorted(data.names)
    arrays = dict(stored.values)
    arrays |= {f"{MASK}{name}": rows for name, rows in stored.entries.items()}
    arrays |= {f"covariate_{name}": rows for name, rows in stored.covariates.items()}
    for name, rows in arrays.items():
        _write(folder / f"{name}.npy", rows)
    columns = data.present[:, [data.names.index(name) for name in names]]
    np.save(folder / "present.npy", columns)
    if stored.row_names:
        np.save(folder / "row_names.npy", np.array(stored.row_names))
    for name, given in stored.feature_names.items():
        np.save(folder / f"{FEATURES}{name}.npy", np.array(given))


def _open(path: Path) -> np.ndarray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(
            f"{path}: expected a whole .npy file of numbers ({error})"
        ) from error


def _write(path: Path, rows: StoredRows) -> None:
    """Block by block; a map of the file would stay resident."""
    described = np.lib.format.dtype_to_descr(rows.dtype)
    header = {"descr": described, "fortran_order": False, "shape": rows.shape}
    width = rows.dtype.itemsize * int(np.prod(rows.shape[1:]))
    size = max(1, BYTES // width)
    with open(path, "wb") as file:
        np.lib.format.write_array_header_2_0(file, header)
        for start in range(0, rows.shape[0], size):
            block = rows.block(start, min(start + size, rows.shape[0]))
            np.ascontiguousarray(np.ma.getdata(block)).tofile(file)
