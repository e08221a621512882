"""Files that commands write: tables, DataTrees and pictures, by their endings."""

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consilience.cli.pictures import SUFFIXES as PICTURES
from consilience.datasets.frames import write_frame
from consilience.datasets.writing import target
from consilience.experiments.options import a_path

if TYPE_CHECKING:
    from pandas import DataFrame

TABLES = (".csv", ".parquet")
TREES = (".nc",)


def add_files(
    parser: argparse.ArgumentParser, default: str, endings: Sequence[str], what: str
) -> None:
    """`--out FILE`, as often as wanted."""
    parser.add_argument(
        "--out",
        type=a_path,
        action="append",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help=f"{what}; may come again (default: {default})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files")
    parser.set_defaults(default_out=Path(default), endings=tuple(endings))


def files(options: argparse.Namespace, read: Sequence[Path] = ()) -> list[Path]:
    """What is to be written; `read` is what the command reads.

    Raises:
        ValueError: an ending that is not known; else as `check_free`.
    """
    wanted = getattr(options, "out", [options.default_out])
    for path in wanted:
        if path.suffix not in options.endings:
            raise ValueError(
                f"--out: expected a file that ends in {', '.join(options.endings)}, got "
                f"{str(path)!r}"
            )
    check_free(wanted, options.overwrite, read)
    return wanted


def check_free(
    paths: Sequence[Path], overwrite: bool, read: Sequence[Path] = ()
) -> None:
    """Refuse what could not be written later, and what must not be.

    Args:
        paths: of the files.
        overwrite: whether files that are there may be replaced.
        read: files and folders that the command reads: those are never replaced.

    Raises:
        ValueError: naming the file.
    """
    for i, path in enumerate(paths):
        if path in paths[:i]:
            raise ValueError(f"--out: expected each file once, got {path} twice")
        if path.is_dir():
            raise ValueError(f"--out: expected a file, but {path} is a folder")
        if path.exists() and not overwrite:
            raise ValueError(
                f"--out: {path} is there already; name another file or add --overwrite"
            )
        _check_not_read(path, read)
        check_place(path)
        if path.suffix == ".parquet":
            _require_parquet(path)


def check_place(path: Path) -> None:
    """Refuse a place where no file can be made or replaced; nothing is made yet.

    Raises:
        ValueError: naming the file or the folder that is in the way.
    """
    try:
        if path.exists():
            target(path)
        folder = path.parent
        while not folder.exists() and not folder.is_symlink():
            folder = folder.parent
    except OSError as error:
        raise ValueError(f"--out: {path}: {error.strerror}") from error
    if not folder.is_dir():
        raise ValueError(f"--out: expected a folder, but {folder} is none")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ValueError(f"--out: nothing can be written into the folder {folder}")


def make_folders(paths: Sequence[Path]) -> None:
    """Make the folders of files, before anything is computed.

    Raises:
        ValueError: one cannot be made.
    """
    for folder in dict.fromkeys(path.parent for path in paths):
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ValueError(
                f"--out: the folder {folder} cannot be made: {error.strerror}"
            ) from error


def _check_not_read(path: Path, read: Sequence[Path]) -> None:
    """A file that the command reads, or one in a folder of data."""
    for source in read:
        same = path.resolve() == source.resolve()
        if path.exists() and (same or path.resolve().parent == source.resolve()):
            raise ValueError(
                f"--out: {path} is among what is read from {source}; name another file"
            )


def write_table(frame: "DataFrame", path: Path) -> None:
    """A table with its index as the first column; numbers as they are."""
    write_frame(frame, path, overwrite=True)  # `check_free` has refused what is there


def is_picture(path: Path) -> bool:
    """Whether a path is that of a picture."""
    return path.suffix in PICTURES


def _require_parquet(path: Path) -> None:
    from importlib.util import find_spec

    if find_spec("pyarrow") is None:
        raise ImportError(
            f"{path}: Parquet needs pyarrow; pip install 'consilience[parquet]'"
        )
