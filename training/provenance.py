"""What a DataTree says of the fit it came from: settings of bound and training."""

from collections.abc import Mapping

import numpy as np
from numpyro.infer.elbo import ELBO

from consilience.inference.attributes import Attribute
from consilience.training.history import History


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
