"""Names that are not known, and the nearest that are."""

from collections.abc import Iterable

from consilience.datasets.names import few, nearest


def check_known(where: str, what: str, given: Iterable, known: Iterable[str]) -> None:
    """Refuse a name that is none of the known ones.

    Raises:
        ValueError: with the nearest known name, or else with all of them.
    """
    known = list(known)
    for name in given:
        if name in known:
            continue
        advice = nearest(str(name), known)
        if not advice:
            advice = f"; there are {few(known, 40)}" if known else "; there are none"
        raise ValueError(f"{where}: there is no {what} {str(name)!r}{advice}")
