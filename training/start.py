"""The state of SVI before the first step."""

from collections.abc import Mapping
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData
from consilience.nn.executables import Program, tracing


def initial_state(
    rng_key: Key[Array, ""], svi: SVI, batch: MultimodalData, start: Mapping | None
) -> SVIState:
    """State of SVI before the first step.

    Raises:
        ValueError: `start` names parameters that there are not, or of other shapes.
    """
    init = Program(partial(_init, svi))
    if start is None:
        return init(rng_key, batch, None)
    with tracing():
        ours = jax.eval_shape(lambda *a: svi.get_params(svi.init(*a)), rng_key, batch)
    for name, values in start.items():
        if name not in ours:
            raise ValueError(
                f"start: expected parameters of model and guide, got {name}; there are "
                f"{', '.join(sorted(ours))}"
            )
        if _shapes(values) != _shapes(ours[name]):
            raise ValueError(
                f"start: {name}: expected the shapes {_shapes(ours[name])}, got "
                f"{_shapes(values)}"
            )
    return init(rng_key, batch, dict(start))


def _init(svi, rng_key, batch, start) -> SVIState:
    return svi.init(rng_key, batch, init_params=start)


def _shapes(tree) -> object:
    return jax.tree.map(jnp.shape, tree)
