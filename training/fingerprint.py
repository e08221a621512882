"""What makes a run the run it is: settings and data that a resumed one must share."""

import hashlib

import jax
import numpy as np
from jaxtyping import Array, Key
from numpyro.infer import SVI

from consilience.training.order import Order
from consilience.training.provenance import of_bound
from consilience.training.rows import Rows, identity


def fingerprint(
    rng_key: Key[Array, ""],
    svi: SVI,
    order: Order,
    data: Rows,
    nonfinite: str,
    segment: int,
) -> dict[str, str | int | float]:
    """By name; networks and optimiser are compared by the shapes of their parameters."""
    return of_bound(svi.loss) | {
        "rng_key": str(jax.random.key_data(rng_key).tolist()),
        "rows": order.num_rows,
        "batch_size": order.batch_size,
        "modalities": ", ".join(data.names),
        "data": digest(identity(data)),
        "nonfinite": nonfinite,
        "steps_a_segment": segment,
    }


def digest(tree: object) -> str:
    """SHA-256 of a tree's arrays."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(jax.device_get(leaf))
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array)
    return found.hexdigest()
