"""Names that were meant: the nearest known one, and ids that look alike."""

import difflib
import re
from collections.abc import Iterable


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that is most alike as a question in brackets, or nothing."""
    folded = {other.casefold(): other for other in known}
    found = difflib.get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return f" (did you mean {folded[found[0]]!r}?)" if found else ""


def few(names: Iterable[str], most: int = 5) -> str:
    """The first names of a list, and how many there are if that is not all."""
    names = list(names)
    rest = f", … ({len(names)} in all)" if len(names) > most else ""
    return ", ".join(names[:most]) + rest


def written_alike(name: str) -> str:
    """What is left of an id without what files change: case, blanks, zeros, dashes.

    "S-01 ", "s.01" and "s_01" have one form, and so have "7", "007" and "7.0".
    """
    form = name.strip().casefold()
    if re.fullmatch(r"\d+(\.0*)?", form):
        return form.split(".")[0].lstrip("0") or "0"
    return re.sub(r"[-_.\s]+", "-", form)
