"""One file a modality, in a folder: CSV, TSV or Parquet."""

import re
from pathlib import Path

from consilience.datasets.contents import Contents, Modalities, chosen
from consilience.datasets.files import check_fits, front_door, parsing
from consilience.datasets.headers import check_header, check_index, check_names
from consilience.datasets.names import few, written_alike
from consilience.datasets.notes import Notes, notes_of_frame
from consilience.datasets.read_frames import index_kind
from consilience.datasets.read_text import CELL, SEPARATORS, Columns, read_text
from consilience.datasets.tables import Table, column_names, sample_ids, table

TEXT = tuple(f"{suffix}{gz}" for suffix in SEPARATORS for gz in ("", ".gz"))
SUFFIXES = (*TEXT, ".parquet")
COVARIATES = "covariates"
MEASUREMENT = re.compile(r"[-+]?\d*\.\d*[1-9]\d*([eE][-+]?\d+)?")


def read_folder(
    folder: Path, modalities: Modalities, id_column: str | None
) -> Contents:
    """Every table of a folder, in the order of their names; `covariates` is no modality.

    Hidden files are passed over, and all others too if modalities are named.

    Raises:
        ValueError: a file is no table, two have one name, or there is none.
    """
    paths = _tables(folder, strict=modalities is None)
    _check_covariates(folder, paths, modalities)
    notes = paths.pop(COVARIATES, None)
    if not paths:
        raise ValueError(
            f"{folder}: expected a file ({', '.join(SUFFIXES)}) for each modality, got "
            + ("covariates only" if notes else "none")
        )
    wanted = chosen(modalities, paths, str(folder))
    tables = {n: read_table(paths[key], id_column) for n, key in wanted.items()}
    notes = None if notes is None else read_notes(notes, id_column)
    return Contents(str(folder), tables=tables, notes=notes)


def read_file(path: Path, modalities: Modalities, id_column: str | None) -> Contents:
    """A single table: one modality of the file's name."""
    wanted = chosen(modalities, [_stem(path)], path.name)
    return Contents(path.name, tables={n: read_table(path, id_column) for n in wanted})


def read_table(path: Path, id_column: str | None) -> Table:
    """Numbers of one modality with the ids of their samples."""
    with front_door(path.name):
        read = _columns(path, id_column)
        found = table(path.name, read.ids, read.names, read.cells)
        return found._replace(id_name=read.id_name)


def read_notes(path: Path, id_column: str | None) -> Notes:
    """Columns of numbers or text that describe samples; all are covariates by default."""
    read = _columns(path, id_column, notes=True)
    ids = sample_ids(path.name, read.ids)
    return notes_of_frame(path.name, ids, read.cells.set_axis(read.names, axis=1))


def is_table(path: Path) -> bool:
    """Whether a file has the name of a table."""
    return path.name.endswith(SUFFIXES)


def _stem(path: Path) -> str:
    return path.name.removesuffix(next(s for s in SUFFIXES if path.name.endswith(s)))


def _tables(folder: Path, *, strict: bool) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if not is_table(path) or not path.is_file():
            if strict:
                raise ValueError(
                    f"{path}: expected files {', '.join(SUFFIXES)} only, got another; "
                    "move it elsewhere, or name what to read in `modalities`"
                )
            continue
        name = _stem(path)
        if name in found:
            raise ValueError(
                f"{folder}: expected one file for modality {name!r}, got "
                f"{found[name].name} and {path.name}"
            )
        found[name] = path
    return found


def _check_covariates(
    folder: Path, paths: dict[str, Path], modalities: Modalities
) -> None:
    """Refuse "Covariates.csv", which would be a modality."""
    named = modalities.values() if isinstance(modalities, dict) else modalities or ()
    for name, path in paths.items():
        meant = written_alike(name) in (COVARIATES, COVARIATES[:-1])
        if meant and name != COVARIATES and name not in named:
            raise ValueError(
                f"{folder}: expected covariates in a file called {COVARIATES}"
                f"{path.name[len(name) :]}, got {path.name}; rename it, or name "
                "it in `modalities` if it is one"
            )


def _columns(path: Path, id_column: str | None, *, notes: bool = False) -> Columns:
    text = not path.name.endswith(".parquet")
    read = (read_text if text else _read_parquet)(path, id_column)
    if id_column is None and text:
        check_header(path.name, read.id_name, read.names, every=not notes)
    if id_column is None:
        check_index(path.name, read.id_name, read.ids, read.names)
    check_names(path.name, read.names)
    bad = [name for name in read.ids if MEASUREMENT.fullmatch(str(name))]
    if id_column is None and bad:
        raise ValueError(
            f"{path.name}: expected sample ids in the first column, got the number "
            f"{bad[0]}; name the column that has them, id_column=..."
        )
    return read


def _read_parquet(path: Path, id_column: str | None) -> Columns:
    """Ids are the named column, else the index that pandas stored, else the first."""
    frame = parquet_frame(path)
    if id_column is None and _has_ids(frame):
        return _by_index(path.name, frame)
    if id_column is None and not len(frame.columns):
        raise ValueError(f"{path.name}: expected columns, got none")
    if id_column is not None and id_column == frame.index.name:
        return _by_index(path.name, frame)
    name = frame.columns[0] if id_column is None else id_column
    if name not in frame.columns:
        raise ValueError(
            f"id_column: {path.name}: expected one of its columns "
            f"{few(map(str, frame.columns))}, got {id_column!r}"
        )
    column_names(path.name, [c for c in frame.columns if c == name])
    ids, cells = frame[name], frame.drop(columns=name)
    ids = ids.astype(object).where(ids.notna(), "").tolist()
    return Columns(ids, list(cells.columns), cells, name)


def _by_index(place: str, frame) -> Columns:
    index_kind(place, frame)
    return Columns(list(frame.index), list(frame.columns), frame, frame.index.name)


def _has_ids(frame) -> bool:
    return type(frame.index).__name__ != "RangeIndex"


def parquet_frame(path: Path):
    """A Parquet file as a frame.

    Raises:
        ImportError: pyarrow is not installed.
        ValueError: the file is no Parquet, or damaged.
    """
    import pandas

    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ImportError(
            f"{path.name}: Parquet needs pyarrow; pip install 'consilience[parquet]'"
        ) from error
    with parsing(path.name, "a whole Parquet file"):
        about = pyarrow.parquet.read_metadata(path)
    check_fits(path.name, about.num_rows * about.num_columns * CELL)
    with parsing(path.name, "a whole Parquet file"):
        return pandas.read_parquet(
            path, dtype_backend="numpy_nullable", page_checksum_verification=True
        )
