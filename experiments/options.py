"""Types of command-line options, each refusing what it cannot be."""

import argparse
import math
from collections.abc import Callable
from pathlib import Path

MOST, MOST_SEED = 2**31 - 1, 2**32 - 1  # of 32 bits, with sign and without


def a_path(text: str) -> Path:
    """A path that is not empty: none is the working folder by accident."""
    if not text.strip():
        raise argparse.ArgumentTypeError("expected a path, got an empty text")
    return Path(text)


def seed(text: str) -> int:
    """One of JAX: of larger numbers it would take the last 32 bits alone."""
    return whole_number(0, MOST_SEED)(text)


def whole_number(at_least: int, at_most: int = MOST) -> Callable[[str], int]:
    """An integer between bounds."""

    def parse(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = None
        if value is None or value < at_least:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of {at_least} or more, got {text!r}"
            )
        if value > at_most:
            raise argparse.ArgumentTypeError(
                f"expected a whole number of {at_most} or less, got {text!r}"
            )
        return value

    return parse


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"expected a number above 0, got {text!r}")
    return value


def non_negative(text: str) -> float:
    """A finite number of 0 or more."""
    value = _number(text)
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(
            f"expected a number of 0 or more, got {text!r}"
        )
    return value


def share(text: str) -> float:
    """A number between 0 and 1."""
    value = _number(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number between 0 and 1, got {text!r}"
        )
    return value


def probability(text: str) -> float:
    """A number from 0 to 1, without 1."""
    value = _number(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(
            f"expected a number from 0 to below 1, got {text!r}"
        )
    return value


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def one_of(registry: dict) -> Callable[[str], str]:
    """A name in a registry."""

    def parse(text: str) -> str:
        if text not in registry:
            raise argparse.ArgumentTypeError(
                f"expected one of {', '.join(registry)}, got {text!r}"
            )
        return text

    return parse
