"""The front door of files: what is opened, how much is read, what damage is called."""

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

# what our own checks raise; anything else that comes out of a reader is a library's
REFUSALS = (ValueError, TypeError, OSError, ImportError)


def path_of(argument: str, source: object) -> Path:
    """A path that may be opened: a folder, or a regular file.

    Raises:
        TypeError: it is no path.
        ValueError: it is empty, or a pipe, a socket or a device.
        FileNotFoundError: nothing is there.
    """
    if not isinstance(source, str | os.PathLike):
        raise TypeError(
            f"{argument}: expected a path, got {type(source).__name__}; consilience.read "
            "takes what is in memory"
        )
    if not os.fspath(source):
        raise ValueError(f"{argument}: expected a path, got an empty text")
    path = Path(source)
    try:
        there = path.exists()
    except (OSError, ValueError) as error:  # too long, or a zero byte
        said = getattr(error, "strerror", None) or error
        raise ValueError(
            f"{argument}: expected a path, got {str(path)[:60]!r} ({said})"
        ) from error
    if not there:
        raise FileNotFoundError(
            f"{argument}: expected a file or folder, got {path}: none"
        )
    if not path.is_dir():
        check_regular(argument, path)
    return path


def check_regular(argument: str, path: Path) -> None:
    """Refuse what is no regular file, which may never end or never begin."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return
    kinds = ("fifo", stat.S_ISFIFO), ("socket", stat.S_ISSOCK), ("folder", stat.S_ISDIR)
    kind = next((name for name, is_kind in kinds if is_kind(mode)), "device")
    raise ValueError(
        f"{argument}: expected a regular file, got the {kind} {path}; write what it gives "
        "into a file first"
    )


def check_fits(place: str, size: int, remedy: str = "read fewer modalities") -> None:
    """Refuse to read more bytes than the machine has memory.

    Args:
        place: what errors call the source.
        size: bytes that it says it holds.
        remedy: what to do instead.
    """
    limit = memory()
    if size > limit:
        raise ValueError(
            f"{place}: expected at most {_gib(limit)}, the memory of this machine, got "
            f"{_gib(size)} when unpacked; {remedy}"
        )


def memory() -> int:
    """Bytes of memory of this machine."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return 2**40


@contextmanager
def parsing(place: str, expected: str) -> Iterator[None]:
    """Around calls of a library alone: whatever it raises becomes one sentence.

    Raises:
        ValueError: naming the place and what was expected.
    """
    try:
        yield
    except Exception as error:  # parsers raise what they like
        raise ValueError(f"{place}: expected {expected} ({_words(error)})") from error


@contextmanager
def front_door(place: str) -> Iterator[None]:
    """Around a whole reader: refusals pass, and what nobody foresaw becomes one.

    Raises:
        ValueError: naming the place.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno is None:
            raise
        raise OSError(f"{place}: expected a file that can be read ({error})") from error
    except REFUSALS:
        raise
    except Exception as error:
        raise ValueError(
            f"{place}: expected an undamaged source of a kind that consilience reads, got "
            f"one that cannot be read ({_words(error)})"
        ) from error


def _words(error: Exception) -> str:
    """What a library says, in a line of bearable length."""
    said = " ".join(str(error).split())
    said = said if len(said) <= 300 else said[:300] + " …"
    plain = isinstance(error, OSError) or type(error) is ValueError
    return said if said and plain else f"{type(error).__name__}: {said}".strip(": ")


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB" if size < 2**50 else f"{size:.1e} bytes"
