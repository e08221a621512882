"""What a DataTree says of where it came from: versions, settings of bound and training."""

from collections.abc import Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING

import numpy as np
from numpyro.infer.elbo import ELBO

if TYPE_CHECKING:
    from consilience.inference.fitted import History

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


def of_fit(bound: ELBO, history: "History") -> dict[str, Attribute]:
    """Class and settings of the bound, epochs, and the bound of the last one."""
    attrs = of_bound(bound) | {"num_epochs": len(history.bound)}
    for name, values in history._asdict().items():
        if len(values):
            attrs[f"last_{name}"] = float(values[-1])
    return attrs


def of_bound(bound: ELBO, prefix: str = "bound") -> dict[str, Attribute]:
    """The class of a bound as `prefix`, each of its settings as `prefix_setting`."""
    attrs: dict[str, Attribute] = {prefix: type(bound).__name__}
    for name, value in vars(bound).items():
        if name.startswith(("_", "vectorize_particles")):
            continue
        if isinstance(value, ELBO):
            attrs |= of_bound(value, f"{prefix}_{name}")
        else:
            attrs[f"{prefix}_{name}"] = _described(value)
    return attrs


def _described(value: object) -> Attribute:
    """A number, or what one reads of an object: no arrays, no addresses."""
    value = value.item() if isinstance(value, np.generic) else value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value
    value = dict(value) if isinstance(value, Mapping) else value
    text = repr(value)
    if len(text) > 200 or " at 0x" in text:
        return getattr(value, "__name__", type(value).__name__)
    return text
