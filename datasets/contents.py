"""What a source holds, before rows are matched: the common ground of all readers."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from consilience.datasets.names import check_visible, few, nearest
from consilience.datasets.tables import Table
from consilience.datasets.validation import RESERVED


class Arrays(NamedTuple):
    """The arguments of `MultimodalData.from_arrays`, with the numbers as they came.

    Attributes:
        values: by modality, `[N, *event]`, masked where nothing was measured. Files of
            64 bits have them here, where `MultimodalData` has 32.
        present: by modality, `[N]`.
        covariates: by name, `[N, ...]`.
        entries: by modality, `[N, *event]`.
        row_names: one a row, or None.
        feature_names: by modality.
    """

    values: dict[str, object]
    present: dict[str, object] | None = None
    covariates: dict[str, object] | None = None
    entries: dict[str, object] | None = None
    row_names: Iterable[str] | None = None
    feature_names: dict[str, Iterable[str]] | None = None


class Notes(NamedTuple):
    """Columns that may become covariates.

    Attributes:
        place: what errors call it.
        ids: one a sample; none if rows are those of the values.
        columns: by name, numbers or text.
        default: the names that are covariates unless others are asked for.
    """

    place: str
    ids: tuple[str, ...]
    columns: Mapping[str, object]
    default: tuple[str, ...] = ()


class Contents(NamedTuple):
    """Tables whose rows have names, or arrays whose rows stand in one order.

    Attributes:
        place: what errors call the source.
        tables: by modality, to be matched by their samples' ids; or
        arrays: rows that are matched already.
        notes: what may become covariates.
    """

    place: str
    tables: dict[str, Table] | None = None
    arrays: Arrays | None = None
    notes: Notes | None = None

    @property
    def id_name(self) -> str | None:
        """What the first table calls the column of its ids, or None."""
        return next(iter(self.tables.values())).id_name if self.tables else None


Modalities = Sequence[str] | Mapping[str, str] | None


def chosen(modalities: Modalities, known: Iterable[str], place: str) -> dict[str, str]:
    """Name in the data set → name in the source, of what was asked for; else of all.

    Raises:
        TypeError: names are no list.
        ValueError: a name is unknown, reserved or stands twice, or none was asked for.
    """
    known = list(known)
    check_visible(place, "names of modalities", filter(_is_text, known))
    if modalities is None:
        modalities = known
    if isinstance(modalities, str) or not isinstance(modalities, Sequence | Mapping):
        raise TypeError(
            f"modalities: expected a list of names or a mapping, got {modalities!r}"
        )
    if not isinstance(modalities, Mapping):
        check_once("modalities", modalities)
        modalities = {name: name for name in modalities}
    if not modalities:
        raise ValueError("modalities: expected at least one name, got none")
    for name in modalities.values():
        if name not in known:
            raise ValueError(
                f"modalities: expected names among those of {place}: {few(known, 20)}, "
                f"got {name!r}{nearest(str(name), known)}"
            )
    check_visible("modalities", "names", filter(_is_text, modalities))
    _check_reserved(modalities, place)
    return dict(modalities)


def _is_text(name: object) -> bool:
    return isinstance(name, str)


def _check_reserved(modalities: Mapping[str, str], place: str) -> None:
    """Refuse names of sites, with the way to another name."""
    for name, key in modalities.items():
        if name in RESERVED:
            raise ValueError(
                f"modalities: {name!r} of {place} is reserved for a site of the model or "
                f"guide; give it another name, modalities={{'name': {key!r}}}"
            )


def check_once(argument: str, names: Sequence[str]) -> None:
    """Refuse a list that has a name twice."""
    for name in names:
        if list(names).count(name) > 1:
            raise ValueError(f"{argument}: expected each name once, got {name!r} twice")


def with_all_modalities(arrays: Arrays) -> Arrays:
    """Only the rows that have every modality.

    Raises:
        ValueError: there is none.
    """
    sizes = {len(np.ma.asanyarray(value)) for value in arrays.values.values()}
    if len(sizes) != 1:
        return arrays  # refused by `from_arrays`, which says where
    keep = np.stack([_measured(arrays, name) for name in arrays.values]).all(0)
    if not keep.any():
        raise ValueError(
            f"samples: expected some that have all of {few(arrays.values)}, got none; "
            "samples='union' keeps those that have any"
        )
    return arrays_of_rows(arrays, np.flatnonzero(keep))


def arrays_of_rows(arrays: Arrays, rows: np.ndarray) -> Arrays:
    """A selection of the rows."""

    def taken(by_name):
        if by_name is None:
            return None
        return {name: np.ma.asanyarray(x)[rows] for name, x in by_name.items()}

    names = arrays.row_names
    return Arrays(
        taken(arrays.values),
        taken(arrays.present),
        taken(arrays.covariates),
        taken(arrays.entries),
        None if names is None else [tuple(names)[i] for i in rows],
        arrays.feature_names,
    )


def _measured(arrays: Arrays, name: str) -> np.ndarray:
    """`[N]`, whether any entry of a modality was measured."""
    values = np.ma.asanyarray(arrays.values[name])
    seen = ~np.ma.getmaskarray(values)
    if values.dtype.kind == "f":
        seen = seen & ~np.isnan(np.ma.getdata(values))
    if name in (arrays.entries or {}):
        seen = seen & np.asarray(arrays.entries[name])
    seen = seen.reshape(len(values), -1).any(-1)
    return seen & np.asarray((arrays.present or {}).get(name, True))
