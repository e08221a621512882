"""Malformed inputs, each with the message that it must get, from all catalogues."""

import importlib.util
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
    found = []
    for name in CATALOGUES:
        if importlib.util.find_spec(name) is not None:
            found += importlib.import_module(name).BAD
    return found


def message(bad: BadInput, folder: Path) -> str:
    """The kind of error and its words, without the folder's own path."""
    try:
        bad.run(folder)
    except ERRORS as error:
        return f"{type(error).__name__}: {error}".replace(f"{folder}", "FOLDER")
    return "accepted"
