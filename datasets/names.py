"""Names that were meant: the nearest known one, and names that look alike."""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping

MISSING = ("None", "nan", "<NA>", "NaT")  # what is no name, as text


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


def as_text(name: object) -> str:
    """A name as text; bytes are UTF-8.

    Raises:
        ValueError: bytes that are not.
    """
    if not isinstance(name, bytes):
        return str(name)
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"names: expected text in UTF-8, got the bytes {name!r}"
        ) from error


def texts_of(place: str, given: object) -> tuple[str, ...]:
    """Names as text, in their order.

    Raises:
        TypeError: no list of names: a set, a mapping, one thing alone.
        ValueError: a name is missing, or several things at once.
    """
    unordered = isinstance(given, bytes | set | frozenset | Mapping)
    if unordered or not isinstance(given, Iterable):
        raise TypeError(f"{place}: expected a list of names, got {given!r}")
    names = tuple(given)
    for i, name in enumerate(names):
        several = isinstance(name, list | tuple) or getattr(name, "ndim", 0)
        missing = not isinstance(name, str) and str(name) in MISSING
        if several or missing:
            raise ValueError(
                f"{place}: place {i}: expected one text or number as a name, got {name!r}"
            )
    return tuple(map(as_text, names))


def visible(name: str) -> str:
    """What a reader sees of a name: one Unicode form, no invisible characters.

    Zero-width characters, byte order marks and controls are left out, blanks of all
    kinds are one, and those at the ends are none.
    """
    if name.isascii() and name.isprintable():
        return name.strip()
    kinds = ((c, unicodedata.category(c)) for c in unicodedata.normalize("NFC", name))
    seen = "".join(
        " " if kind[0] == "Z" or c.isspace() else c
        for c, kind in kinds
        if kind not in ("Cf", "Cc") or c.isspace()
    )
    return seen.strip()


def check_visible(place: str, what: str, names: Iterable[str]) -> None:
    """Refuse two names that differ, but not to the eye.

    Raises:
        ValueError: naming both, with what is invisible written out.
    """
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(visible(name), name)
        if other != name:
            raise ValueError(
                f"{place}: expected {what} that differ to the eye, got {other!a} and "
                f"{name!a}: they differ in invisible characters, blanks at the ends "
                "or Unicode forms only; write both alike"
            )


def written_alike(name: str) -> str:
    """What is left of an id without what files change: case, blanks, zeros, dashes.

    "S-01 ", "s.01" and "s_01" have one form, and so have "7", "007" and "7.0", and
    names that look the same (`visible`). Dashes of all kinds are one, as Word and Excel
    put them.
    """
    form = unicodedata.normalize("NFKC", visible(name)).casefold()
    form = "".join(
        "-" if c == "−" or unicodedata.category(c) == "Pd" else c for c in form
    )
    if re.fullmatch(r"\d+(\.0*)?", form):
        return form.split(".")[0].lstrip("0") or "0"
    return re.sub(r"[-_.\s]+", "-", form)


def forms_alike(name: str) -> set[str]:
    """`written_alike`, with wide and narrow blanks as blanks and left out."""
    return {
        written_alike(name),
        written_alike("".join(c for c in name if c.isascii() or not c.isspace())),
    }
