"""The argument `covariates` of `read`: names, a frame, a file or arrays."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from consilience.datasets.contents import Contents
from consilience.datasets.notes import Categories, Notes, notes_of_frame, selected
from consilience.datasets.read_folder import SUFFIXES, is_table, read_notes
from consilience.datasets.read_frames import index_ids, is_frame


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
        notes = _notes(given, id_column)
    if notes is not None and not notes.ids and found.tables is not None:
        raise TypeError(
            "covariates: expected a DataFrame whose index has the sample ids, since rows "
            f"are matched by them, got {type(given).__name__}"
        )
    return selected(wanted, notes, row_names, categories)


def _notes(given, id_column: str | None) -> Notes:
    if is_frame(given):
        return notes_of_frame("covariates", index_ids("covariates", given), given)
    if isinstance(given, str | Path):
        path = Path(given)
        if not path.is_file() or not is_table(path):
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
