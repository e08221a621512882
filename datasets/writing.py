"""Files are written as a whole or not at all: beside their place, synced, renamed."""

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PARTIAL = ".partial"
_KINDS = {
    stat.S_ISDIR: "a folder",
    stat.S_ISFIFO: "a named pipe",
    stat.S_ISSOCK: "a socket",
    stat.S_ISCHR: "a device",
    stat.S_ISBLK: "a device",
}


def target(path: str | os.PathLike) -> Path:
    """Where a file of this name is to be written: links are followed.

    Raises:
        FileNotFoundError: there is no such folder.
        IsADirectoryError, FileExistsError: a folder, device, pipe or socket stands there.
        PermissionError: what stands there is write-protected.
        OSError: links go round in a circle; the name is too long.
    """
    path = Path(path)
    found = Path(os.path.realpath(path))
    try:
        mode = found.stat().st_mode
    except FileNotFoundError:
        mode = None
    if mode is None and not found.parent.is_dir():
        text = "expected a folder that exists"
        raise FileNotFoundError(errno.ENOENT, text, str(found.parent))
    if mode is not None and not stat.S_ISREG(mode):
        kind = next((k for test, k in _KINDS.items() if test(mode)), "something else")
        number = errno.EISDIR if stat.S_ISDIR(mode) else errno.EEXIST
        raise OSError(number, f"expected a file or a new path, got {kind}", str(path))
    if mode is not None and not os.access(found, os.W_OK):
        text = "expected a file that may be written, got a write-protected one"
        raise PermissionError(errno.EACCES, text, str(path))
    return found


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """A new file beside `path` to write to; afterwards it is synced and takes its place.

    It is removed if that fails, and what stood at `path` is as it was. A writer that was
    killed leaves one behind, whose name ends in ".partial". What is replaced keeps its
    permissions; where it has other names (hard links), they keep the old contents.

    Raises:
        OSError: as `target` says, or the file cannot be written.
    """
    place = target(path)
    start = place.name.encode(errors="ignore")[:180].decode(errors="ignore")  # of 255
    name = f".{start}.{secrets.token_hex(4)}{PARTIAL}"
    partial = place.with_name(name)
    try:
        yield partial
        with open(partial, "r+b") as written:
            os.fsync(written.fileno())
        with suppress(FileNotFoundError):
            os.chmod(partial, stat.S_IMODE(place.stat().st_mode))
        os.replace(partial, place)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _sync_folder(place.parent)


def write_bytes(path: str | os.PathLike, contents: bytes) -> None:
    """`replacing` for bytes."""
    with replacing(path) as partial:
        partial.write_bytes(contents)


def write_text(path: str | os.PathLike, text: str) -> None:
    """`replacing` for text, in UTF-8 and as it is."""
    write_bytes(path, text.encode())


def _sync_folder(folder: Path) -> None:
    """Have the renaming on disk too; only POSIX opens folders."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
