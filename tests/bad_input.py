"""Malformed inputs, each with the message that it must get, from all catalogues."""

import importlib
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

CATALOGUES = ("bad_input_data", "bad_input_config")
ERRORS = (ValueError, TypeError, OSError, ImportError)


class BadInput(NamedTuple):
    """One malformed input.

    Attributes:
        name: what is wrong with it, in a few words.
        run: makes the input in an empty folder and gives it to the public interface.
        match: a regular expression that the message must have.
    """

    name: str
    run: Callable[[Path], object]
    match: str


def catalogue() -> list[BadInput]:
    """All of them; each catalogue is a module with a list `BAD`."""
    return [bad for name in CATALOGUES for bad in importlib.import_module(name).BAD]


def message(bad: BadInput, folder: Path) -> str:
    """The kind of error and its words, without the folder's own path."""
    try:
        bad.run(folder)
    except ERRORS as error:
        return f"{type(error).__name__}: {error}".replace(f"{folder}", "FOLDER")
    return "accepted"


def page() -> str:
    """All of them with the messages they get, as docs/bad_input.md has it."""
    rows = []
    for bad in catalogue():
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            said = message(bad, Path(folder))
        rows.append(f"| {bad.name} | {said.replace('|', chr(92) + '|')} |")
    return PAGE.format(count=len(rows), rows="\n".join(rows))


PAGE = """# Malformed input, and what is said of it

{count} inputs, each refused before anything is compiled; `pytest tests/test_bad_input.py`
gives all of them to the public interface. `python tests/bad_input.py` writes this page.

| input | message |
|---|---|
{rows}
"""

if __name__ == "__main__":
    print(page(), end="")
