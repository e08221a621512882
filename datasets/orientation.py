"""Tables whose samples stand in columns: turned if that is said, refused if it shows."""

import re
from collections.abc import Mapping, Sequence
from itertools import permutations

from consilience.datasets.contents import Contents
from consilience.datasets.names import few, nearest, visible
from consilience.datasets.tables import Table, column_names, sample_ids

REMEDY = (
    "if samples stand in columns, pass transpose=True, or transpose=[...] with the names "
    "of those tables (--transpose all, or names); if not, transpose=False (--transpose "
    "none)"
)
FEATURE = "gene|feature|protein|transcript|peptide|metabolite|antibody|cpg|snp"
FEATURES = re.compile(
    rf"({FEATURE}|entrez|ensembl|hugo|uniprot|probe ?set)s?"
    rf"([^a-z0-9]*(id|identifier|name|symbol)s?)?"
)
Transpose = bool | Sequence[str] | None


def turned(found: Contents, transpose: Transpose) -> Contents:
    """Tables with samples in rows.

    Args:
        found: what a source holds.
        transpose: True if samples stand in the columns of all tables, or the names of
            those in which they do; False if in none; None if that is to be looked at.

    Raises:
        TypeError: it is something else.
        ValueError: rows have no names to be turned into columns, a modality is unknown,
            or samples seem to stand in columns and nothing was said.
    """
    names = _names(found, transpose)
    if not names:
        if transpose is None and found.tables:
            check_orientation(found.tables, found.notes.ids if found.notes else ())
        return found
    if found.tables is None:
        raise ValueError(
            f"transpose: {found.place}: expected tables whose rows and columns have names, "
            "got arrays; turn them with np.moveaxis"
        )
    tables = {n: _turned(t) if n in names else t for n, t in found.tables.items()}
    return found._replace(tables=tables)


def _names(found: Contents, transpose: Transpose) -> Sequence[str]:
    known = tuple(found.tables or found.arrays.values)
    if transpose is None or isinstance(transpose, bool):
        return known if transpose else ()
    if not isinstance(transpose, list | tuple):
        raise TypeError(
            f"transpose: expected True, False or a list of modalities, got {transpose!r}"
        )
    for name in transpose:
        if name not in known:
            raise ValueError(
                f"transpose: expected modalities among {few(known, 20)}, got "
                f"{name!r}{nearest(str(name), known)}"
            )
    return transpose


def _turned(table: Table) -> Table:
    if not table.columns:
        raise ValueError(
            f"transpose: {table.place}: expected columns with names, got none"
        )
    return table._replace(
        ids=sample_ids(table.place, table.columns),
        columns=column_names(table.place, table.ids),
        values=table.values.T,
        id_name=None,
    )


def check_orientation(tables: Mapping[str, Table], known: Sequence[str] = ()) -> None:
    """Refuse tables in whose columns samples seem to stand.

    The sign: two columns or more, and half of the fewer names, are columns of another
    table (or its samples, or those of the covariates), while of the rows fewer than half
    are in both. Tables of the same genes and patients have such rows; "age" in two
    tables is one column. Another sign: the column of ids is called "gene", "protein id",
    and they are no samples of the covariates.

    Args:
        tables: by modality.
        known: samples of the covariates.
    """
    for table, other in permutations(tables.values(), 2):
        if not _half(table.ids, other.ids):
            _check_columns(table, f"columns of {other.place}", other.columns)
            _check_columns(table, f"samples of {other.place}", other.ids)
    for table in tables.values():
        if known and not _half(table.ids, known):
            _check_columns(table, "samples of the covariates", known)
    for table in tables.values():
        called = str(table.id_name or "")
        if known and _half(table.ids, known):
            continue
        if FEATURES.fullmatch(visible(called).casefold()):
            raise ValueError(
                f"{table.place}: expected samples in rows, got rows whose ids are called "
                f"{called!r} ({few(table.ids, 3)}); {REMEDY}"
            )


def _half(names: Sequence[str], others: Sequence[str]) -> bool:
    """Whether half of the fewer names are among the others."""
    return 2 * len(set(names).intersection(others)) >= min(len(names), len(others))


def _check_columns(table: Table, what: str, names: Sequence[str]) -> None:
    shared = sorted(set(table.columns).intersection(names))
    if len(shared) > 1 and _half(table.columns, names):
        raise ValueError(
            f"{table.place}: expected samples in rows, got columns that are {what} too "
            f"({few(shared, 3)}), and rows that mostly are not ({few(table.ids, 3)}); "
            f"{REMEDY}"
        )
