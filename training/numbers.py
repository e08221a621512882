"""Numbers in settings."""

import math

import numpy as np


def check_numbers(*, zero: bool, **numbers: float) -> None:
    """Refuse what is no finite number above 0, or of 0 or more if `zero`, by name.

    Raises:
        ValueError: naming the argument.
    """
    range_ = "of 0 or more" if zero else "above 0"
    for name, value in numbers.items():
        number = isinstance(value, int | float | np.number)
        number &= not isinstance(value, bool)
        if not number or not 0 <= value < math.inf or (value == 0 and not zero):
            raise ValueError(f"{name}: expected a number {range_}, got {value!r}")


def check_whole(**numbers: int) -> None:
    """Refuse what is no whole number of 0 or more, by name.

    Raises:
        ValueError: naming the argument.
    """
    for name, value in numbers.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 0:
            raise ValueError(
                f"{name}: expected a whole number of 0 or more, got {value!r}"
            )
