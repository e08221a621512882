"""Tables in text files: CSV and TSV, plain or gzipped."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from consilience.datasets.files import check_fits, parsing
from consilience.datasets.names import few, nearest

if TYPE_CHECKING:
    import pandas

SEPARATORS = {".csv": ",", ".tsv": "\t"}
LONGEST, OFTEN = 2**27, 2**16  # characters of a line, lines between two looks
CELL = 9  # bytes of a number and of whether it is there
WORDS = {",": "commas", ";": "semicolons", "\t": "tabs"}


class Columns(NamedTuple):
    """A frame of cells, and what it says of samples.

    Attributes:
        ids: the cells of the id column, one a row.
        names: of the other columns.
        cells: those columns.
        id_name: of the id column, or None.
    """

    ids: list
    names: list
    cells: "pandas.DataFrame"
    id_name: str | None = None


def read_text(path: Path, id_column: str | None) -> Columns:
    """Read a table whose first line has the names of its columns.

    Empty cells, NA, NaN, null and what else pandas takes for it are missing, but not
    among the ids.

    Raises:
        ValueError: the file is empty or damaged, or is no such table: the line is named.
    """
    separator = SEPARATORS[Path(path.name.removesuffix(".gz")).suffix]
    try:
        return _read(path, separator, id_column)
    except UnicodeDecodeError as error:
        raise ValueError(f"{path.name}: expected text in UTF-8 ({error})") from error
    except (EOFError, zlib.error, gzip.BadGzipFile, csv.Error) as error:
        raise ValueError(
            f"{path.name}: expected a whole and undamaged file ({error})"
        ) from error


def _read(path: Path, separator: str, id_column: str | None) -> Columns:
    import pandas

    names, index, ids = _scan(path, separator, id_column)
    others = [i for i in range(len(names)) if i != index]
    if not others:
        return Columns(ids, [], pandas.DataFrame(), names[index])
    with _open(path) as file, parsing(path.name, "a whole and undamaged file"):
        cells = pandas.read_csv(
            file,
            sep=separator,
            header=0,
            names=range(len(names)),
            usecols=others,
            dtype_backend="numpy_nullable",
            low_memory=False,
        )
    if len(cells) != len(ids):
        raise ValueError(
            f"{path.name}: expected {len(ids)} lines below the first, got {len(cells)}; "
            "quotes or ends of lines are not as in CSV"
        )
    return Columns(ids, [names[i] for i in others], cells, names[index])


def _scan(path: Path, separator: str, id_column: str | None):
    """Names, the place of the ids, and the ids; every line has as many cells.

    pandas would fill lines that are too short and take the first column of lines that
    are too long for an index.
    """
    with _open(path) as file:
        lines = csv.reader(_lines(path.name, file), delimiter=separator, strict=True)
        names = next((line for line in lines if line), None)
        if names is None:
            raise ValueError(
                f"{path.name}: expected a line of column names, got nothing"
            )
        index, ids = _id_place(path.name, names, separator, id_column), []
        for line in lines:
            if not line:
                continue
            if len(line) != len(names):
                raise ValueError(
                    f"{path.name}: line {lines.line_num}: expected {len(names)} cells as "
                    f"in the first line, got {len(line)}"
                )
            ids.append(line[index])
            if not len(ids) % OFTEN:
                check_fits(path.name, len(ids) * len(names) * CELL)
    return names, index, ids


def _lines(place: str, file: TextIOWrapper) -> Iterator[str]:
    """Lines of bearable length, so that few packed bytes cannot fill the memory."""
    while line := file.readline(LONGEST):
        if len(line) == LONGEST:
            raise ValueError(
                f"{place}: expected lines of fewer than {LONGEST} characters, got a "
                "longer one"
            )
        yield line


def _id_place(place, names: list[str], separator: str, id_column: str | None) -> int:
    for other, word in WORDS.items():
        if len(names) == 1 and other in names[0]:
            raise ValueError(
                f"{place}: expected columns separated by {WORDS[separator]}, got "
                f"{word}; write the file anew (.csv has commas, .tsv tabs)"
            )
    if id_column is None:
        return 0
    if id_column not in names:
        raise ValueError(
            f"id_column: {place}: expected one of its columns {few(names)}, got "
            f"{id_column!r}{nearest(id_column, names)}"
        )
    return names.index(id_column)


def _open(path: Path):
    opener = gzip.open if path.suffix == ".gz" else open
    return opener(path, "rt", encoding="utf-8-sig", newline="")
