"""What a DataTree says of where it came from: versions and the user's own words."""

from collections.abc import Mapping
from importlib.metadata import version

import numpy as np

PACKAGES = ("consilience", "numpyro", "jax", "flax", "optax", "numpy", "arviz")
Attribute = str | int | float


def versions() -> dict[str, str]:
    """Those of the packages that the numbers depend on."""
    return {f"{package}_version": version(package) for package in PACKAGES}


def checked(attrs: Mapping[str, object] | None) -> dict[str, Attribute]:
    """Attributes that every file format can hold; NumPy's numbers become Python's.

    Raises:
        TypeError: no mapping; a value that is neither a string nor a number.
        ValueError: a name that is no identifier or that a version has; an integer of
            more than 64 bits.
    """
    if not isinstance(attrs, Mapping | None):
        raise TypeError(f"attrs: expected a mapping, got {type(attrs).__name__}")
    return {_name(name): _value(name, value) for name, value in (attrs or {}).items()}


def _name(name: object) -> str:
    if not isinstance(name, str) or not name.isidentifier():
        raise ValueError(
            f"attrs: expected names such as 'aggregation', of letters, digits and _, got "
            f"{name!r}"
        )
    if name in versions():
        raise ValueError(f"attrs: {name!r} is filled in already, expected another name")
    return name


def _value(name: str, value: object) -> Attribute:
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, bool) or not isinstance(value, Attribute):
        raise TypeError(
            f"attrs[{name!r}]: expected a string or a number, got "
            f"{type(value).__name__}; str(...) or repr(...) of it will do"
        )
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise ValueError(
            f"attrs[{name!r}]: expected an integer of 64 bits, got {value}; str(...) of "
            "it will do"
        )
    return value
