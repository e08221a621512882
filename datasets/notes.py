"""Covariates out of the columns that describe samples: numbers, or coded categories."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from consilience.datasets.contents import Notes, check_once
from consilience.datasets.matching import rows_of
from consilience.datasets.names import few, nearest
from consilience.datasets.tables import column_names

if TYPE_CHECKING:
    import pandas

Categories = Mapping[str, Sequence[str]] | None


def selected(
    wanted: Sequence[str] | None,
    notes: Notes | None,
    row_names: Sequence[str] | None,
    categories: Categories,
) -> dict[str, np.ndarray]:
    """The wanted columns in the order of the rows; text becomes whole numbers.

    Raises:
        ValueError: a name is unknown, a sample has no row or no value, text has no
            categories or is none of them.
    """
    notes = notes or Notes("the source", (), {})
    names = _names(wanted, notes)
    for name in categories or {}:
        if name not in names:
            raise ValueError(
                f"categories: expected names of covariates that are read, "
                f"{few(names) or 'of which there are none'}, got "
                f"{name!r}{nearest(str(name), notes.columns)}"
            )
    rows = None
    if names and notes.ids:
        if row_names is None:
            raise ValueError(
                f"{notes.place}: expected rows with names to match, got rows without"
            )
        rows = rows_of(notes.place, notes.ids, row_names)
    listed = categories or {}
    return {n: _read(notes, n, rows, row_names, listed.get(n)) for n in names}


def _names(wanted: Sequence[str] | None, notes: Notes) -> tuple[str, ...]:
    if wanted is None:
        return tuple(notes.default)
    check_once("covariates", wanted)
    for name in wanted:
        if name not in notes.columns:
            known = few(map(str, notes.columns), 20) or "none"
            raise ValueError(
                f"covariates: expected columns of {notes.place} ({known}), got "
                f"{name!r}{nearest(str(name), map(str, notes.columns))}"
            )
    return tuple(wanted)


def _read(notes: Notes, name: str, rows, row_names, categories) -> np.ndarray:
    import pandas

    cells = notes.columns[name]
    if not isinstance(cells, pandas.Series):
        cells = np.asarray(cells)
        if cells.ndim != 1:
            return cells if rows is None else cells[rows]
        cells = pandas.Series(cells)
    if rows is not None:
        cells = cells.iloc[rows]
    if cells.dtype == object:
        cells = cells.convert_dtypes(dtype_backend="numpy_nullable")
    where = f"{notes.place}: covariate {name!r}"
    _check_known(where, cells, row_names)
    if categories is not None:
        return _coded(where, cells, row_names, name, categories)
    return _numbers(where, cells, name)


def _check_known(where: str, cells: "pandas.Series", row_names) -> None:
    missing = cells.isna().to_numpy(bool)
    if missing.any():
        raise ValueError(
            f"{where}: {_row(row_names, int(missing.argmax()))} "
            f"({int(missing.sum())} in all): expected a value, since covariates are always "
            "known, got none; leave the column out by naming those you want in "
            "`covariates`, or make it a modality"
        )


def _numbers(where: str, cells: "pandas.Series", name: str) -> np.ndarray:
    dtype = cells.dtype
    if getattr(dtype, "kind", "O") in "fiub" and not hasattr(dtype, "categories"):
        return cells.to_numpy(getattr(dtype, "numpy_dtype", dtype))
    found = sorted({str(cell) for cell in cells})
    raise ValueError(
        f"{where}: expected numbers, got {few(map(repr, found))}; give categories="
        f"{{{name!r}: [...]}} for whole numbers in the order of that list, or leave the "
        "column out by naming those you want in `covariates`"
    )


def _coded(
    where: str, cells: "pandas.Series", row_names, name: str, categories
) -> np.ndarray:
    """The place of each cell in a list that is given, so that new rows are coded alike."""
    argument = f"categories[{name!r}]"
    if isinstance(categories, str) or not isinstance(categories, Sequence):
        raise TypeError(f"{argument}: expected a list of names, got {categories!r}")
    check_once(argument, categories)
    code = {str(category): i for i, category in enumerate(categories)}
    for row, cell in enumerate(cells):
        if str(cell) not in code:
            raise ValueError(
                f"{where}: {_row(row_names, row)}: expected one of {argument}, "
                f"{few(code)}, got {str(cell)!r}{nearest(str(cell), code)}"
            )
    return np.array([code[str(cell)] for cell in cells])


def _row(row_names, n: int) -> str:
    return f"sample {tuple(row_names)[n]!r}" if row_names is not None else f"row {n}"


def notes_of_frame(place: str, ids, frame: "pandas.DataFrame", default=None) -> Notes:
    """Columns of a frame whose rows have the ids; all are covariates by default."""
    names = column_names(place, frame.columns)
    columns = {name: frame.iloc[:, i] for i, name in enumerate(names)}
    return Notes(place, tuple(ids), columns, names if default is None else default)
