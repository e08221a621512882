"""The one file format: arrays and a JSON header in an `.npz`, with checksums, no pickle.

`numpy.load` reads the arrays and `unzip -p FILE header.json` shows the header. What is
written depends on the contents alone: the same contents give the same bytes.
"""

import hashlib
import io
import json
import os
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from consilience.datasets.files import check_fits, check_regular
from consilience.datasets.writing import target, write_bytes
from consilience.training.encodings import Stored, decode, encode

FORMAT, VERSION = "consilience", 1
HEADER, CHECKSUM = "header.json", "header.sha256"


class ArchiveError(ValueError):
    """A file is damaged, truncated, foreign, of another kind, or of a newer format."""


def write_archive(
    path: str | os.PathLike,
    kind: str,
    header: Mapping,
    arrays: Mapping[str, Stored],
) -> None:
    """Write a file as a whole or not at all, by `datasets.writing.replacing`.

    Args:
        path: the file; one that is there is replaced, a link is followed.
        kind: what it is, such as "checkpoint".
        header: what JSON can say; floats come back exactly, tuples as lists.
        arrays: by name; typed PRNG keys and bfloat16 too.

    Raises:
        TypeError: an array of objects or records, by name.
        FileNotFoundError: there is no such folder.
        OSError: no regular file stands there (a folder, device, pipe, socket), or it
            cannot be written.
    """
    target(path)  # refused before anything is packed
    write_bytes(path, packed(kind, header, arrays))


def read_archive(path: str | os.PathLike, kind: str) -> tuple[dict, dict[str, Stored]]:
    """Header and arrays of a file, once every checksum has been found right.

    Raises:
        ArchiveError: the file is damaged, truncated, foreign, of another kind or of a
            newer format.
        ValueError: the path is empty, or of a pipe, a socket or a device.
        OSError: it cannot be read.
    """
    contents = _contents(path)
    try:
        members = _members(contents)
    except Exception as error:  # whatever a broken zip file brings forth
        raise ArchiveError(f"{path}: {_unreadable(contents)} ({error})") from error
    with sound(path):
        described = _described(path, kind, members)
        arrays = {
            name: _array(path, name, members, entry)
            for name, entry in described["arrays"].items()
        }
        if members:
            raise ArchiveError(
                f"{path}: damaged: {', '.join(members)} is not in its header"
            )
        return dict(described["header"]), arrays


@contextmanager
def sound(path: str | os.PathLike, *refusals: type[Exception]) -> Iterator[None]:
    """Around what reads a header: what nobody foresaw means that it was forged.

    Errors that name the file pass.

    Args:
        path: of the file.
        refusals: others that pass.
    """
    try:
        yield
    except refusals:
        raise
    except Exception as error:
        if str(error).startswith(f"{path}: "):
            raise
        raise ArchiveError(
            f"{path}: damaged: its header is not as consilience writes it "
            f"({type(error).__name__}: {str(error)[:200]})"
        ) from error


def _contents(path: str | os.PathLike) -> bytes:
    if not os.fspath(path):
        raise ValueError("path: expected the path of a file, got an empty text")
    path = Path(path)
    if path.exists():
        check_regular("path", path)
        check_fits(f"{path}", path.stat().st_size, "it is no archive of consilience")
    return path.read_bytes()


def packed(kind: str, header: Mapping, arrays: Mapping) -> bytes:
    """The bytes of a file; arguments as in `write_archive`."""
    entries, members = {}, {}
    for name, array in arrays.items():
        raw, encoding = encode(name, array)
        stored = io.BytesIO()
        np.lib.format.write_array(stored, raw, allow_pickle=False)
        members[f"{name}.npy"] = stored.getvalue()
        entries[name] = {"sha256": _sha256(stored.getvalue())} | encoding
    described = {"format": FORMAT, "version": VERSION, "kind": kind}
    described |= {"header": dict(header), "arrays": entries}
    text = json.dumps(described, indent=1).encode()
    return _zipped({HEADER: text, CHECKSUM: _sha256(text).encode()} | members)


def _zipped(members: Mapping[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for name, content in members.items():
            info = zipfile.ZipInfo(name)  # of a fixed date
            if info.filename != name:
                raise ValueError(f"arrays: expected a name for a file, got {name!r}")
            file.writestr(info, content)
    return packed.getvalue()


def _members(contents: bytes) -> dict[str, bytes]:
    """By name; they are stored as they are, so that none is larger than the file."""
    with zipfile.ZipFile(io.BytesIO(contents)) as file:
        infos = file.infolist()
        names = [info.filename for info in infos]
        packed = any(info.compress_type != zipfile.ZIP_STORED for info in infos)
        if packed or sum(info.file_size for info in infos) > len(contents):
            raise ValueError("it is compressed")
        if len(set(names)) < len(names):
            raise ValueError("a member comes twice")
        return {name: file.read(name) for name in names}


def _unreadable(contents: bytes) -> str:
    if contents.startswith(b"PK"):
        return "damaged or truncated"
    return "expected an archive of consilience, got another file, or the rest of one"


def _described(path: str | os.PathLike, kind: str, members: dict[str, bytes]) -> dict:
    """The header's text, checked; its two members are taken out."""
    text, checksum = members.pop(HEADER, None), members.pop(CHECKSUM, None)
    if text is None or checksum is None:
        raise ArchiveError(f"{path}: expected an archive of consilience, got another")
    if _sha256(text).encode() != checksum:
        raise ArchiveError(f"{path}: damaged: the checksum of the header is wrong")
    described = json.loads(text)
    if described.get("format") != FORMAT:
        raise ArchiveError(f"{path}: expected an archive of consilience, got another")
    if described["version"] > VERSION:
        raise ArchiveError(
            f"{path}: expected a format up to {VERSION}, got {described['version']}; a "
            "newer consilience wrote it, and can read it"
        )
    if described["kind"] != kind:
        raise ArchiveError(f"{path}: expected a {kind}, got a {described['kind']}")
    return described


def _array(path: str | os.PathLike, name: str, members: dict, entry: dict) -> Stored:
    stored = members.pop(f"{name}.npy", None)
    if stored is None:
        raise ArchiveError(f"{path}: damaged: the array {name!r} is not there")
    if _sha256(stored) != entry["sha256"]:
        raise ArchiveError(f"{path}: damaged: the checksum of {name!r} is wrong")
    raw = np.lib.format.read_array(io.BytesIO(stored), allow_pickle=False)
    return decode(raw, entry)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
