"""What came of an input."""

import re
import traceback
import warnings
from pathlib import Path
from typing import NamedTuple

from attack.case import Case

REFUSALS = (ValueError, TypeError, OSError, ImportError, ArithmeticError)


class Verdict(NamedTuple):
    """One of `OUTCOMES`, and what was said or seen."""

    outcome: str
    said: str


def judged(case: Case, folder: Path) -> Verdict:
    """Run a case in an empty folder."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            result = case.run(folder)
        except (*REFUSALS, *case.errors) as error:
            return _refusal(case, error)
        except AssertionError as error:
            if _place(error).parent == Path(__file__).parent:  # a truth of ours
                return Verdict("silently wrong", _flat(str(error)))
            return Verdict("traceback", _last(error))
        except Exception as error:
            return Verdict("traceback", _last(error))
        return _accepted(case, result, [str(warning.message) for warning in caught])


def _refusal(case: Case, error: BaseException) -> Verdict:
    said = f"{type(error).__name__}: {error}"
    if case.words is None:
        return Verdict("misleading", f"refused, but it is a good input: {_last(error)}")
    lacking = [word for word in case.words if not re.search(word, str(error))]
    if lacking:
        return Verdict("misleading", f"no {lacking[0]!r} in: {_last(error)}")
    return Verdict("refused", said)


def _accepted(case: Case, result: object, warned: list[str]) -> Verdict:
    told = case.warned and any(re.search(case.warned, text) for text in warned)
    if told:
        return Verdict("right", "; ".join(warned))
    if case.right is None:
        return Verdict("silently wrong", f"accepted: {_short(result)}")
    try:
        case.right(result)
    except AssertionError as error:
        return Verdict("silently wrong", _flat(str(error)))
    return Verdict("right", "")


def _last(error: BaseException) -> str:
    """The error, and where it arose."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" [{Path(frames[-1].filename).name}:{frames[-1].lineno}]" if frames else ""
    return _flat(f"{type(error).__name__}: {error}") + place


def _place(error: BaseException) -> Path:
    return Path(traceback.extract_tb(error.__traceback__)[-1].filename)


def _flat(text: str) -> str:
    return " ".join(text.split())[:600]


def _short(result: object) -> str:
    return _flat(repr(result))[:200]
