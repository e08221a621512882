"""Sizes and counts."""

import numpy as np


def check_positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers, by name.

    Raises:
        ValueError: naming the argument.
    """
    for name, value in sizes.items():
        whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
        if not whole or value < 1:
            raise ValueError(f"{name}: expected a positive integer, got {value!r}")
