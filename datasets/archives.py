"""`.npz` files: what the arrays say they hold is checked before anything is unpacked."""

import io
import math
import zipfile
from pathlib import Path

import numpy as np

from consilience.datasets.files import check_fits, check_regular, parsing
from consilience.datasets.names import check_visible

WHOLE = "a whole .npz file of arrays without objects"
MAC = "__MACOSX/"
NPY = ".npy"


def load_arrays(path: Path) -> dict[str, np.ndarray]:
    """Every array of an `.npz` file; objects would need pickle and are refused.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is damaged or no archive, has a name twice or what is no array, or
            holds other sizes than it says, or more than there is memory.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: expected an .npz file, got none")
    check_regular(path.name, path)
    with parsing(path.name, WHOLE):
        if not zipfile.is_zipfile(path):
            raise ValueError("it is no archive")
        file = zipfile.ZipFile(path)
    with file:
        members = _members(path.name, file)
        sizes = [_promised(path.name, file, m) for m in members.values()]
        check_fits(path.name, sum(sizes), "write .npy files and stream the folder")
        return {n: _read(path.name, file, m) for n, m in members.items()}


def _members(place: str, file: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Arrays by name; what macOS puts beside them is passed over."""
    infos = [info for info in file.infolist() if not _of_mac(info.filename)]
    folders = [info.filename for info in infos if info.is_dir()]
    found: dict[str, zipfile.ZipInfo] = {}
    for info in infos:
        if info.is_dir():
            continue
        name = info.filename.removesuffix(NPY)
        if name in found:
            raise ValueError(
                f"{place}: expected each array once, got {found[name].filename!r} and "
                f"{info.filename!r}; write the archive anew with one of them"
            )
        if any(name.startswith(folder) for folder in folders):
            raise ValueError(
                f"{place}: expected arrays, got {info.filename!r} in a folder; pack the "
                "files alone, without their folder"
            )
        found[name] = info
    check_visible(place, "names of arrays", found)
    return found


def _of_mac(name: str) -> bool:
    last = name.rpartition("/")[2]
    return name.startswith(MAC) or last == ".DS_Store" or last.startswith("._")


def _promised(place: str, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> int:
    """Bytes that an array's header promises; the archive must hold as many."""
    with parsing(f"{place}: {info.filename!r}", WHOLE), file.open(info) as member:
        shape, dtype = _header(member)
        size, held = math.prod(shape) * dtype.itemsize, info.file_size - member.tell()
        if size != held or min(shape, default=0) < 0:
            raise ValueError(
                f"its header promises {size} bytes, shape {shape} of {dtype}, and there "
                f"are {held}"
            )
    return size


def _header(member: zipfile.ZipExtFile) -> tuple[tuple[int, ...], np.dtype]:
    start = member.read(np.lib.format.MAGIC_LEN)
    if not start.startswith(np.lib.format.MAGIC_PREFIX):
        raise ValueError("it is no array; move it out of the archive")
    version = np.lib.format.read_magic(io.BytesIO(start))
    read = {(1, 0): np.lib.format.read_array_header_1_0}
    shape, _, dtype = read.get(version, np.lib.format.read_array_header_2_0)(member)
    if dtype.hasobject:
        raise ValueError("it has objects")
    return shape, dtype


def _read(place: str, file: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    with parsing(f"{place}: {info.filename!r}", WHOLE), file.open(info) as member:
        array = np.lib.format.read_array(member, allow_pickle=False)
        member.read()  # at the end the checksum is compared
        return array
