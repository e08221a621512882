"""Numbers in settings: sizes, counts, and real numbers in a range."""

import math

import jax
import jax.numpy as jnp
import numpy as np


def check_positive(**sizes: int) -> None:
    """Refuse sizes that are not positive integers, by name.

    Raises:
        ValueError: naming the argument.
    """
    for name, value in sizes.items():
        if not _is_whole(value) or value < 1:
            raise ValueError(f"{name}: expected a positive integer, got {value!r}")


def check_whole(**numbers: object) -> None:
    """Refuse what is no whole number of 0 or more, by name.

    Raises:
        ValueError: naming the argument.
    """
    for name, value in numbers.items():
        if not _is_whole(value) or value < 0:
            raise ValueError(
                f"{name}: expected a whole number of 0 or more, got {value!r}"
            )


def check_numbers(*, zero: bool = False, **numbers: object) -> None:
    """Refuse what is no finite number above 0, or of 0 or more if `zero`, by name.

    Raises:
        ValueError: naming the argument.
    """
    ends = "[)" if zero else "()"
    for name, value in numbers.items():
        check_within(name, value, 0, math.inf, ends)


def check_within(
    name: str,
    value: object,
    low: float | int,
    high: float | int,
    ends: str = "()",
    *,
    several: bool = False,
) -> None:
    """Refuse what is no number in a range, here or as programs hold it.

    Args:
        name: the argument.
        value: what came.
        low: lower end of the range.
        high: upper end.
        ends: brackets of the range, a square one where the end belongs to it.
        several: whether nested sequences and arrays of them will do.

    Raises:
        ValueError: naming the argument.
    """
    number = _numbers(value)
    fits = number is not None and number.size > 0 and (several or not number.ndim)
    if not fits or not _inside(number, low, high, ends):
        expected = _range(low, high, ends, "numbers" if several else "a number")
        raise ValueError(f"{name}: expected {expected}, got {value!r}")
    dtype = jnp.result_type(float)
    with np.errstate(over="ignore", under="ignore"):
        held = number.astype(dtype)
    held = np.where(np.abs(held) < np.finfo(dtype).tiny, np.zeros((), dtype), held)
    if not _inside(held, low, high, ends):
        expected = _range(low, high, ends, "numbers" if several else "a number")
        raise ValueError(
            f"{name}: expected {expected} in {dtype}, got {value!r}, which {dtype} "
            "does not hold"
        )


def _numbers(value: object) -> np.ndarray | None:
    """Real numbers in float64; None if there is anything else."""
    if isinstance(value, jax.core.Tracer | set | dict):
        return None
    try:
        array = np.asarray(value)
        real = array.dtype.kind in "fiu" or jnp.issubdtype(array.dtype, jnp.floating)
        if array.dtype.kind == "O" and isinstance(value, int):  # too long for 64 bits
            real = True
        return array.astype(np.float64) if real else None
    except (ValueError, TypeError, OverflowError):  # ragged, or no array at all
        return None


def _inside(
    numbers: np.ndarray, low: float | int, high: float | int, ends: str
) -> bool:
    above = numbers >= low if ends[0] == "[" else numbers > low
    below = numbers <= high if ends[1] == "]" else numbers < high
    return bool(np.all(above & below))


def _range(low: float | int, high: float | int, ends: str, what: str) -> str:
    if high < math.inf:
        return f"{what} in {ends[0]}{low}, {high}{ends[1]}"
    return f"{what} of {low} or more" if ends[0] == "[" else f"{what} above {low}"


def _is_whole(value: object) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
