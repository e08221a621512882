"""What `fit` refuses before anything compiles."""

import jax
import jax.numpy as jnp

from consilience.training.checkpoints import Checkpoints
from consilience.training.stopping import EarlyStopping


def check_settings(early_stopping, checkpoints, validation, nonfinite) -> None:
    """Refuse settings of the wrong type, and those that need another.

    Raises:
        TypeError: a setting is of the wrong type.
        ValueError: an unknown `nonfinite`; early stopping without validation rows.
    """
    for name, value, kind in (
        ("early_stopping", early_stopping, EarlyStopping),
        ("checkpoints", checkpoints, Checkpoints),
    ):
        if not isinstance(value, kind | None):
            raise TypeError(f"{name}: expected {kind.__name__}(...), got {value!r}")
    if nonfinite not in ("stop", "skip"):
        raise ValueError(f"nonfinite: expected 'stop' or 'skip', got {nonfinite!r}")
    if early_stopping is not None and validation is None:
        raise ValueError("early_stopping: expected validation rows as well, got none")


def require_eager(*given: object) -> None:
    """Refuse a call inside a transformation: an epoch is walked by Python.

    Raises:
        TypeError: saying what to do.
    """
    leaves = [jnp.zeros(()), *jax.tree.leaves(given)]  # in jit all arrays are traced
    if any(isinstance(leaf, jax.core.Tracer) for leaf in leaves):
        raise TypeError(
            "fit: expected a call outside jax.jit, jax.vmap, jax.grad and the like, since "
            "it walks epochs in Python and compiles its steps itself; call it in a loop, "
            "or transform svi.init and svi.update"
        )
