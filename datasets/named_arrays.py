"""The arguments of `from_arrays`, with tables and series matched by their names."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from consilience.datasets import validation
from consilience.datasets.contents import Arrays
from consilience.datasets.matching import matched, rows_of
from consilience.datasets.names import texts_of
from consilience.datasets.notes import notes_of_frame, selected
from consilience.datasets.orientation import check_orientation
from consilience.datasets.read_frames import (
    arrays_of,
    frame_table,
    ids_for,
    is_frame,
    is_series,
    tables_of,
)


class Rows(NamedTuple):
    """What rows are called.

    Attributes:
        names: one a row, or None.
        ordered: whether arrays beside tables can only be in the order of the rows.
    """

    names: tuple[str, ...] | None
    ordered: bool


def unnamed(
    values, present, covariates, entries, row_names, feature_names
) -> dict[str, object]:
    """The same as arrays whose rows and columns stand in one order.

    Raises:
        TypeError: names cannot be matched, or an argument is of another kind.
        ValueError: a sample or a column lacks, or looks like another.
    """
    values = validation._named(values)
    for argument, given in (("entries", entries), ("feature_names", feature_names)):
        _check_mapping(argument, given)
    row_names = None if row_names is None else texts_of("row_names", row_names)
    tables = tables_of("values", values)
    if tables is None:
        rows = Rows(row_names, ordered=True)
        found = Arrays(arrays_of("values", values), feature_names=feature_names)
    else:
        _check_none(row_names, feature_names)
        check_orientation(tables)
        found = matched(tables, "union")
        row_names = tuple(found.row_names)
        rows = Rows(row_names, len({t.ids for t in tables.values()}) == 1)
    columns = found.feature_names or {}
    return {
        "values": found.values,
        "present": _present(present, tuple(values), rows),
        "covariates": _covariates(covariates, rows),
        "entries": {
            n: _mask(f"entries[{n!r}]", x, rows, columns.get(n))
            for n, x in (entries or {}).items()
        },
        "row_names": row_names,
        "feature_names": columns,
    }


def _check_mapping(argument: str, given: object) -> None:
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            f"{argument}: expected a mapping by modality, got {type(given).__name__}"
        )


def _check_none(row_names, feature_names) -> None:
    for argument, given in (("row_names", row_names), ("feature_names", feature_names)):
        if given is not None and len(given):
            raise ValueError(
                f"{argument}: expected none beside DataFrames, which have their own names, "
                "got some; rename the index and the columns"
            )


def _check_ordered(argument: str, given: object, rows: Rows) -> None:
    if not rows.ordered:
        raise TypeError(
            f"{argument}: expected a DataFrame or Series whose index has the sample ids, "
            f"since rows are matched by them, got {type(given).__name__}"
        )


def _present(given, names: tuple[str, ...], rows: Rows):
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {n: _mask(f"present[{n!r}]", x, rows) for n, x in given.items()}
    return _mask("present", given, rows, names)


def _mask(argument: str, given, rows: Rows, columns: Sequence[str] | None = None):
    """A frame or series in the order of rows and columns; arrays as they are."""
    if not is_frame(given) and not is_series(given):
        _check_ordered(argument, given, rows)
        return given
    ids = ids_for(argument, given, rows.names)
    if ids and rows.names is None:
        raise TypeError(
            f"{argument}: expected an array, since rows have no names to match, got a "
            f"{type(given).__name__} with an index; pass row_names, or to_numpy()"
        )
    if ids:
        _check_same(argument, ids, rows.names)
        given = given.iloc[rows_of(argument, ids, rows.names)]
    if is_frame(given):
        given = _ordered(argument, given, columns)
    kinds = given.dtypes if is_frame(given) else [given.dtype]
    whole = all(getattr(kind, "kind", "O") == "b" for kind in kinds)
    return given.to_numpy(bool if whole else None)


def _check_same(argument: str, ids: Sequence[str], names: Sequence[str]) -> None:
    others = set(ids).difference(names)
    if others:
        raise ValueError(
            f"{argument}: expected the rows of `values` only, got {sorted(others)[0]!r} "
            f"({len(others)} in all), which no modality has"
        )


def _ordered(argument: str, frame, columns: Sequence[str] | None):
    if not columns:
        raise TypeError(
            f"{argument}: expected an array, since columns have no names to match, got a "
            "DataFrame; use to_numpy()"
        )
    if sorted(map(str, frame.columns)) != sorted(columns):
        raise ValueError(
            f"{argument}: expected the columns {', '.join(list(columns)[:5])}"
            f"{', …' * (len(columns) > 5)}, got {', '.join(map(str, frame.columns[:5]))}"
        )
    return frame[list(columns)]


def _covariates(given, rows: Rows) -> dict[str, object]:
    """By name; a frame has one a column."""
    if is_frame(given):
        return _by_name("covariates", given, rows)
    if given is not None and not isinstance(given, Mapping):
        raise TypeError(
            "covariates: expected a mapping from name to array, or a DataFrame, got "
            f"{type(given).__name__}"
        )
    found = {}
    for name, x in (given or {}).items():
        argument = f"covariates[{name!r}]"
        if is_series(x):
            found |= _by_name("covariates", x.to_frame(name), rows)
        elif is_frame(x):
            found[name] = _several(argument, x, rows)
        else:
            _check_ordered(argument, x, rows)
            found[name] = x
    return found


def _by_name(argument: str, frame, rows: Rows) -> dict[str, np.ndarray]:
    notes = notes_of_frame(argument, ids_for(argument, frame, rows.names), frame)
    return selected(None, notes, rows.names, None)


def _several(argument: str, frame, rows: Rows) -> np.ma.MaskedArray:
    """A covariate of several columns."""
    ids = ids_for(argument, frame, rows.names)
    if not ids:
        return frame.to_numpy()
    found = frame_table(argument, frame)
    return found.values[rows_of(argument, ids, rows.names or ())]
