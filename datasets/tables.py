"""`Table`: what one file or frame says of one modality; numbers only."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consilience.datasets.names import check_visible, texts_of, visible

if TYPE_CHECKING:
    import pandas

MISSING = "or nothing where it is missing"


class Table(NamedTuple):
    """One modality with the names of its samples and columns.

    Attributes:
        place: what errors call it: a file's name, an argument.
        ids: one a sample, unique.
        columns: one a column, unique.
        values: `[N, *event]`, masked where nothing was measured. Whole numbers stay such.
        id_name: what a file calls the column of its ids, or a frame its index; or None.
    """

    place: str
    ids: tuple[str, ...]
    columns: tuple[str, ...]
    values: np.ma.MaskedArray
    id_name: str | None = None


def table(
    place: str, ids: Iterable, columns: Iterable, frame: "pandas.DataFrame"
) -> Table:
    """Check names and cells of a frame; its own index is not looked at.

    Raises:
        ValueError: naming the place, the sample, the column and the cell.
    """
    ids, columns = sample_ids(place, ids), column_names(place, columns)
    if not ids:
        raise ValueError(f"{place}: expected at least one sample, got none")
    if not columns:
        raise ValueError(
            f"{place}: expected at least one column beside the sample ids, got none"
        )
    return Table(place, ids, columns, _numbers(place, ids, columns, frame))


def sample_ids(place: str, given: Iterable) -> tuple[str, ...]:
    """Ids as text; refuses empty ones and duplicates."""
    ids, seen = texts_of(place, given), {}
    for row, name in enumerate(ids):
        if not visible(name):
            raise ValueError(f"{place}: row {row}: expected a sample id, got {name!r}")
        if name in seen:
            raise ValueError(
                f"{place}: expected each sample once, got {name!r} in rows {seen[name]} "
                f"and {row}"
            )
        seen[name] = row
    check_visible(place, "sample ids", ids)
    return ids


def column_names(place: str, given: Iterable) -> tuple[str, ...]:
    """Names of columns; refuses those without and duplicates."""
    names, seen = tuple(given), {}
    for place_of, name in enumerate(names):
        if not isinstance(name, str) or not visible(name):
            raise ValueError(
                f"{place}: column {place_of}: expected a name, got {name!r}"
            )
        if name in seen:
            raise ValueError(
                f"{place}: expected each column once, got {name!r} as columns "
                f"{seen[name]} and {place_of}"
            )
        seen[name] = place_of
    check_visible(place, "column names", names)
    return names


def _numbers(place, ids, columns, frame: "pandas.DataFrame") -> np.ma.MaskedArray:
    parts = [
        _column(place, ids, name, frame.iloc[:, i]) for i, name in enumerate(columns)
    ]
    dtype = np.result_type(*(part.dtype for part in parts))
    values = np.ma.masked_all((len(ids), len(columns)), dtype)
    for i, part in enumerate(parts):
        values[:, i] = part
    check_finite(place, ids, columns, values)
    return values


def _column(place, ids, name, column: "pandas.Series") -> np.ma.MaskedArray:
    """One column as numbers; those of 64 bits without a sign must fit with one."""
    if hasattr(column, "sparse"):
        column = column.sparse.to_dense()
    if column.dtype == object:
        column = column.convert_dtypes(dtype_backend="numpy_nullable")
    kind, missing = _kind(column.dtype), column.isna().to_numpy(bool)
    if missing.all() and kind not in "fiub":
        return np.ma.masked_all(len(ids), np.int8)
    if kind not in "fiub":
        raise _no_number(place, ids, name, column)
    dtype = np.dtype(getattr(column.dtype, "numpy_dtype", column.dtype))
    values = column.to_numpy(dtype, na_value=np.nan if kind == "f" else 0)
    if dtype == np.uint64:
        if values.max() > np.iinfo(np.int64).max:
            row = int(values.argmax())
            raise ValueError(
                f"{place}: sample {ids[row]!r}, column {name!r}: expected a number that "
                f"fits 64 bits with a sign, got {values[row]}"
            )
        values = values.astype(np.int64)
    return np.ma.array(values, mask=missing)


def _kind(dtype) -> str:
    """NumPy's letter of a pandas dtype; O for categories, dates with zones and text."""
    return getattr(dtype, "kind", "O") if not hasattr(dtype, "categories") else "O"


def _no_number(place, ids, name, column: "pandas.Series") -> ValueError:
    """Names the first cell that is no number."""
    import pandas

    cells = column.astype(object)
    bad = column.notna().to_numpy(bool)
    if isinstance(cells[bad].iloc[0], str):
        parsed = pandas.to_numeric(cells, errors="coerce")
        bad = (bad & parsed.isna().to_numpy(bool)) if parsed[bad].isna().any() else bad
    row = int(bad.argmax())
    return ValueError(
        f"{place}: sample {ids[row]!r}, column {name!r}: expected a number, {MISSING}, "
        f"got {cells.iloc[row]!r}"
    )


def check_finite(place, ids, columns, values: np.ma.MaskedArray) -> None:
    """Refuse infinities, and say where the first of them stands."""
    if values.dtype.kind != "f":
        return
    bad = np.isinf(np.ma.getdata(values)) & ~np.ma.getmaskarray(values)
    if bad.any():
        row, *place_of = map(int, np.argwhere(bad)[0])
        column = columns[place_of[0]] if columns else place_of
        raise ValueError(
            f"{place}: sample {ids[row]!r}, column {column!r}: expected a finite number, "
            f"{MISSING}, got {values[row, *place_of]}"
        )
