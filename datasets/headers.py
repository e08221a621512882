"""Signs that a table's first line, or its index, is not what it is taken for."""

import re
from collections.abc import Sequence
from itertools import pairwise

from consilience.datasets.names import few, visible

NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
WHOLE = re.compile(r"\d+")
MISSING = {"", "NA", "NAN", "NULL", "NONE", "N/A", "#N/A", "."}
ALONE = (
    "sample|patient|subject|participant|person|individual|donor|animal|specimen|barcode"
)
KINDS = f"{ALONE}|case|mouse|cell|visit|row|record|index|gene|feature|probe|protein"
KINDS = f"{KINDS}|entrez|ensembl"
CALLED = "id|identifier|name|nr|no|num|number|code|key|symbol|barcode"
IDS = re.compile(rf"ids?|identifiers?|({ALONE})s?|({KINDS})s?[^a-z0-9]*({CALLED})s?")
LABEL = re.compile(rf"{IDS.pattern}|({KINDS})s?|(.*[^a-z0-9])?({CALLED})s?")
UNNAMED = re.compile(r"(Unnamed: \d+|index|)")


def _is(pattern: re.Pattern, name: object) -> bool:
    return bool(pattern.fullmatch(visible(str(name)).casefold()))


def check_header(place: str, first: str, names: Sequence[str], *, every: bool) -> None:
    """Refuse a first line that is the line of a sample.

    Column names may be numbers (years, Entrez ids) if the column of ids has a name that
    says so, or none; a sample's line has its id there.

    Args:
        place: what errors call the table.
        first: what the line has in the column of ids.
        names: the rest of it.
        every: whether all columns hold numbers, or at least one.
    """
    numbers = [n for n in names if NUMBER.fullmatch(n.strip())]
    filled = [n for n in names if n.strip().upper() not in MISSING]
    if UNNAMED.fullmatch(first.strip()) or _is(LABEL, first) or not numbers:
        return
    if every and len(numbers) < len(filled):
        return
    raise ValueError(
        f"{place}: expected a first line with the names of columns, got {first!r} and the "
        f"numbers {few(numbers, 3)}, which looks like a sample; put a line of names above "
        f"it, or say that it is one with id_column={first!r}"
    )


def check_index(
    place: str,
    name: object,
    ids: Sequence[object],
    columns: Sequence[object],
    *,
    counted: bool = False,
) -> None:
    """Refuse what pandas left of an index: whole numbers without a name.

    They are accepted as ids where they count the rows one by one and no column is
    called as ids are: "patient", "sample id".

    Args:
        place: what errors call the table.
        name: of the index, or of the first column of a file.
        ids: its cells.
        columns: the other names.
        counted: whether it is known to count.
    """
    if name is not None and not UNNAMED.fullmatch(str(name).strip()):
        return
    if not all(WHOLE.fullmatch(str(one)) for one in ids):
        return
    named = next((c for c in columns if _is(IDS, c)), None)
    if named is None and (counted or _counts(ids)):
        return
    column = "..." if named is None else repr(named)
    raise ValueError(
        f"{place}: expected ids of samples, got an index of whole numbers without a name "
        f"({few(map(str, ids), 3)}), which may be the order that rows once had; use the "
        f"column that has the ids, id_column={column} of a file, set_index({column}) of a "
        "DataFrame, or name the index if it has them, rename_axis('sample')"
    )


def check_names(place: str, names: Sequence[object]) -> None:
    """Refuse the name that pandas gives a column without one."""
    for i, name in enumerate(names):
        if re.fullmatch(r"Unnamed: \d+", str(name)):
            raise ValueError(
                f"{place}: column {i}: expected a name, got {name!r}, which pandas writes "
                "for none; drop it (it may be an old index), or give it another name"
            )


def _counts(ids: Sequence[object]) -> bool:
    numbers = [int(one) for one in ids]
    return all(b - a == 1 for a, b in pairwise(numbers))
