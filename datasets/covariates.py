"""The argument `covariates` of `read`: names, a frame, a file or arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from consilience.datasets.contents import Contents
from consilience.datasets.files import path_of
from consilience.datasets.notes import Categories, Notes, notes_of_frame, selected
from consilience.datasets.read_folder import SUFFIXES, is_table, read_notes
from consilience.datasets.read_frames import ids_for, is_frame, is_series


def covariates_of(
    given: object,
    categories: Categories,
    id_column: str | None,
    found: Contents,
    row_names: Sequence[str] | None,
) -> dict[str, np.ndarray]:
    """Covariates in the order of the rows.

    Raises:
        TypeError: the argument is of another kind.
        ValueError: as in `selected`.
    """
    notes, wanted = found.notes, None
    if isinstance(given, Sequence) and not isinstance(given, str):
        wanted = given
    elif given is not None:
        notes = _notes(given, id_column, row_names)
    if notes is not None and not notes.ids and found.tables is not None:
        raise TypeError(
            "covariates: expected a DataFrame whose index has the sample ids, since rows "
            f"are matched by them, got {type(given).__name__}"
        )
    return selected(wanted, notes, row_names, categories)


def _notes(given, id_column: str | None, row_names) -> Notes:
    if isinstance(given, Mapping) and any(map(is_series, given.values())):
        given = _frame(given)
    if is_frame(given):
        return notes_of_frame(
            "covariates", ids_for("covariates", given, row_names), given
        )
    if isinstance(given, str | Path):
        path = path_of("covariates", given)
        if path.is_dir() or not is_table(path):
            raise ValueError(
                f"covariates: expected a list of names or a file {', '.join(SUFFIXES)}, "
                f"got {str(given)!r}"
            )
        return read_notes(path, id_column)
    if isinstance(given, Mapping):
        return Notes("covariates", (), given, tuple(given))
    raise TypeError(
        "covariates: expected a list of names, a DataFrame, a file or a mapping from name "
        f"to array, got {type(given).__name__}"
    )


def _frame(given: Mapping):
    """Series of one index as a frame."""
    import pandas

    for name, series in given.items():
        if not is_series(series):
            raise TypeError(
                f"covariates: expected Series only, or arrays only, got "
                f"{type(series).__name__} for {name!r}"
            )
        ids_for(f"covariates[{name!r}]", series, None)
    return pandas.DataFrame(dict(given))
