"""One input, what is right of it, and the mechanisms that make inputs by seed."""

import importlib
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

OUTCOMES = ("right", "refused", "misleading", "traceback", "hang", "silently wrong")
GOOD = OUTCOMES[:2]
GROUPS = (
    *("text_bytes", "text_cells", "text_names", "text_shapes", "parquet", "archives"),
    *("shapes_in_archives", "omics", "special_files", "folders", "arrays", "masks"),
    *("scaling", "rows", "round_trips", "covariates", "streams", "densities", "exact"),
    *("metrics", "options", "settings", "programs", "laws", "fits", "fitted"),
    *("saved", "checkpoints", "configs", "commands"),
)


class Case(NamedTuple):
    """One input.

    Attributes:
        about: the input in a few words, enough to make it again by hand.
        run: gives it to the public interface; gets an empty folder.
        right: raises AssertionError where the result is not the truth, which was found
            without the library. None: the input may not be accepted.
        words: regular expressions that the message of a refusal must have, each. None: the
            input is a good one and may not be refused.
        warned: with a warning that has this regular expression, other values are fine.
        errors: further errors that are fine as a refusal.
    """

    about: str
    run: Callable[[Path], object]
    right: Callable[[object], object] | None = None
    words: Sequence[str] | None = None
    warned: str | None = None
    errors: tuple[type[BaseException], ...] = ()


class Mechanism(NamedTuple):
    """A way to make inputs.

    Attributes:
        name: what it is called.
        make: a case of generator and number.
        count: how many inputs of it there are.
        quick: how many of them are in the tests.
        seconds: after so long it hangs.
        megabytes: memory that it may take beyond what the process has; None: no limit.
        alone: in a process of its own, which is thrown away.
    """

    name: str
    make: Callable[[np.random.Generator, int], Case]
    count: int
    quick: int
    seconds: float
    megabytes: int | None
    alone: bool

    @property
    def group(self) -> str:
        """The file it stands in."""
        return self.make.__module__.rpartition(".")[2]

    def case(self, seed: int) -> Case:
        """The input of a seed, always the same."""
        generator = np.random.default_rng([zlib.crc32(self.name.encode()), seed])
        return self.make(generator, seed)


KNOWN: dict[str, Mechanism] = {}


def mechanism(
    name: str,
    count: int = 6,
    *,
    quick: int = 1,
    seconds: float = 60,
    megabytes: int | None = None,
    alone: bool = False,
) -> Callable:
    """Make a mechanism of a function of generator and number."""

    def known(make: Callable) -> Callable:
        if name in KNOWN:
            raise ValueError(f"name: expected a new one, got {name!r}")
        KNOWN[name] = Mechanism(name, make, count, quick, seconds, megabytes, alone)
        return make

    return known


def mechanisms() -> dict[str, Mechanism]:
    """All of them by name, those of one group side by side."""
    for group in GROUPS:
        importlib.import_module(f"attack.{group}")
    return KNOWN


def pick(generator: np.random.Generator, choices: Sequence):
    """One of them, as it is."""
    return choices[int(generator.integers(len(choices)))]
