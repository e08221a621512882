"""Files that commands write: tables, DataTrees and pictures, by their endings."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from consilience.cli.pictures import SUFFIXES as PICTURES
from consilience.datasets.frames import write_frame

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
        type=Path,
        action="append",
        default=argparse.SUPPRESS,
        metavar="FILE",
        help=f"{what}; may come again (default: {default})",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace files")
    parser.set_defaults(default_out=Path(default), endings=tuple(endings))


def files(options: argparse.Namespace) -> list[Path]:
    """What is to be written.

    Raises:
        ValueError: an ending that is not known; a file that is there already.
    """
    wanted = getattr(options, "out", [options.default_out])
    for path in wanted:
        if path.suffix not in options.endings:
            raise ValueError(
                f"--out: expected a file that ends in {', '.join(options.endings)}, got "
                f"{str(path)!r}"
            )
    check_free(wanted, options.overwrite)
    return wanted


def check_free(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse to overwrite, and folders in the place of files.

    Raises:
        ValueError: naming the file.
    """
    for path in paths:
        if path.is_dir():
            raise ValueError(f"--out: expected a file, but {path} is a folder")
        if path.exists() and not overwrite:
            raise ValueError(
                f"--out: {path} is there already; name another file or add --overwrite"
            )
        if path.suffix == ".parquet":
            _require_parquet(path)


def write_table(frame: "DataFrame", path: Path) -> None:
    """A table with its index as the first column; numbers as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
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
