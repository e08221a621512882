"""Kinds of values: what is expected, in words, and how a value is read or refused.

Options and files share them: `parse` makes of the texts of an option what a file would
hold, and `read(where, value)` checks it, `where` being what errors call it.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from consilience.cli.text import scalar
from consilience.datasets.names import nearest
from consilience.experiments.options import MOST


class Kind(ABC):
    """The role.

    Attributes:
        expects: what is expected, in words.
    """

    expects: str

    @abstractmethod
    def read(self, where: str, value: object) -> object:
        """The value as the program works with it.

        Raises:
            ValueError: it is of another kind.
        """

    def parse(self, texts: list[str]) -> object:
        """What a file would hold for this option; of several the last counts."""
        return scalar(texts[-1])

    def refuse(self, where: str, value: object, advice: str = "") -> NoReturn:
        """Say what was expected and what came."""
        raise ValueError(f"{where}: expected {self.expects}, got {value!r}{advice}")


@dataclass(frozen=True)
class Plain(Kind):
    """Values that a predicate accepts.

    Attributes:
        expects: what is expected, in words.
        accepts: the predicate.
        convert: to what the program works with.
    """

    expects: str
    accepts: Callable[[object], bool]
    convert: Callable | None = None

    def read(self, where: str, value: object) -> object:
        if not self.accepts(value):
            self.refuse(where, value)
        return value if self.convert is None else self.convert(value)


@dataclass(frozen=True)
class OneOf(Kind):
    """One of some names."""

    names: tuple[str, ...]

    @property
    def expects(self) -> str:
        return f"one of {', '.join(self.names)}"

    def read(self, where: str, value: object) -> str:
        if value not in self.names:
            self.refuse(where, value, nearest(str(value), self.names))
        return value


@dataclass(frozen=True)
class OrNone(Kind):
    """A value, or the word none."""

    kind: Kind

    @property
    def expects(self) -> str:
        return f"{self.kind.expects}, or none"

    def read(self, where: str, value: object) -> object:
        if value is None or value == "none":
            return None
        try:
            return self.kind.read(where, value)
        except TooLargeError:
            raise
        except ValueError:
            self.refuse(where, value)


class TooLargeError(ValueError):
    """A whole number beyond those of the device."""


@dataclass(frozen=True)
class whole_number(Kind):  # noqa: N801 (a kind like POSITIVE)
    """An integer between bounds; the upper one is that of 32 bits."""

    at_least: int
    at_most: int = MOST

    @property
    def expects(self) -> str:
        return f"a whole number of {self.at_least} or more"

    def read(self, where: str, value: object) -> object:
        if not _is(int, value) or value < self.at_least:
            self.refuse(where, value)
        if value > self.at_most:
            raise TooLargeError(
                f"{where}: expected a whole number of {self.at_most} or less, got {value}"
            )
        return value


def _number(expects: str, inside: Callable[[float], bool]) -> Kind:
    def accepts(value):
        return _is(int | float, value) and bool(inside(value))

    return Plain(expects, accepts, float)


def _is(type_, value: object) -> bool:
    return isinstance(value, type_) and not isinstance(value, bool)


POSITIVE = _number("a number above 0", lambda x: 0 < x < math.inf)
NON_NEGATIVE = _number("a number of 0 or more", lambda x: 0 <= x < math.inf)
SHARE = _number("a number from 0 to below 1", lambda x: 0 <= x < 1)
UP_TO_ONE = _number("a share above 0 and up to 1", lambda x: 0 < x <= 1)
FINITE = _number("a number", math.isfinite)
TRUTH = Plain("true or false", lambda value: isinstance(value, bool))
TEXT = Plain("a text", lambda value: isinstance(value, str) and value != "")
CATEGORY = Plain("a text or number", lambda x: isinstance(x, str | int | float), str)
