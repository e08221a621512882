"""Rows of several tables matched by the ids of their samples."""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from consilience.datasets.contents import Arrays
from consilience.datasets.names import few, forms_alike, visible, written_alike
from consilience.datasets.tables import Table


def matched(tables: Mapping[str, Table], samples: str) -> Arrays:
    """One row a sample: those of any table, or those that all tables name.

    Rows stand in the order in which tables first name them.

    Raises:
        ValueError: ids look alike and are not, or a table shares no sample with another.
    """
    _check_alike(list(tables.values()))
    _check_shared(list(tables.values()))
    rows = list(dict.fromkeys(name for table in tables.values() for name in table.ids))
    if samples == "intersection":
        common = set.intersection(*(set(table.ids) for table in tables.values()))
        rows = [name for name in rows if name in common]
    place = {name: i for i, name in enumerate(rows)}
    return Arrays(
        {name: _spread(table, place) for name, table in tables.items()},
        row_names=rows,
        feature_names={name: t.columns for name, t in tables.items() if t.columns},
    )


def _spread(table: Table, place: Mapping[str, int]) -> np.ma.MaskedArray:
    """Values in the rows of all samples, masked where a sample has none."""
    shape = (len(place), *table.values.shape[1:])
    values = np.ma.array(np.zeros(shape, table.values.dtype), mask=True)
    known = [i for i, name in enumerate(table.ids) if name in place]
    values[[place[table.ids[i]] for i in known]] = table.values[known]
    return values


def _check_alike(tables: list[Table]) -> None:
    """Refuse "S1" in one table and "s1 " in another, unless some table has both."""
    sets = [set(table.ids) for table in tables]
    common = set.intersection(*sets)
    first: dict[str, tuple[str, int]] = {}
    for i, table in enumerate(tables):
        for name in table.ids:
            if name in common:
                continue
            for form in forms_alike(name):
                other, j = first.setdefault(form, (name, i))
                if other != name and not any({name, other} <= both for both in sets):
                    ours, theirs = _shown(name, other)
                    raise ValueError(
                        f"{table.place}: sample {ours} looks like {theirs} of "
                        f"{tables[j].place}; expected one id for one sample"
                    )


def _shown(*names: str) -> Iterator[str]:
    """In quotes, with what is invisible written out where that is the difference."""
    wide = any(c != " " and c.isspace() for name in names for c in name)
    alike = len(set(map(visible, names))) == 1
    return map(ascii if alike or wide else repr, names)


def _check_shared(tables: list[Table]) -> None:
    """Refuse a table that has no sample in common with any other."""
    for table in tables if len(tables) > 1 else ():
        others = [other for other in tables if other is not table]
        if any(set(table.ids) & set(other.ids) for other in others):
            continue
        raise ValueError(
            f"{table.place}: expected samples that another modality has too, got none: "
            f"it has {few(table.ids, 3)}, {others[0].place} has {few(others[0].ids, 3)}"
            + _transposed(table, others)
        )


def _transposed(table: Table, others: list[Table]) -> str:
    for other in others:
        for columns, ids in ((table, other), (other, table)):
            if set(columns.columns) & set(ids.ids):
                return (
                    f"; columns of {columns.place} are samples of {ids.place}: expected "
                    "samples in rows; transpose=[...] with the names of such tables turns "
                    "them (--transpose)"
                )
    return ""


def rows_of(place: str, ids: Iterable[str], wanted: Iterable[str]) -> list[int]:
    """Where the wanted samples stand among the ids of a table that must have them all.

    Raises:
        ValueError: naming a sample that it has not, and what looks like it.
    """
    where = {name: i for i, name in enumerate(ids)}
    lacking = [name for name in wanted if name not in where]
    if not lacking:
        return [where[name] for name in wanted]
    alike = {written_alike(name): name for name in where}.get(written_alike(lacking[0]))
    hint = f"; {alike!r} looks like it" if alike else ""
    raise ValueError(
        f"{place}: expected a row for every sample, got none for {lacking[0]!r} "
        f"({len(lacking)} in all){hint}"
    )
