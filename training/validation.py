"""The bound of held-out rows."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jax.sharding import Mesh
from jaxtyping import Array, Float, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.training.devices import on_mesh, replicated


@checked_kinds
def validation_bound(
    rng_key: Key[Array, ""],
    svi: SVI,
    state: SVIState,
    data: MultimodalData,
    *,
    chunk_size: int = 1920,
    mesh: Mesh | None = None,
) -> float:
    """The bound per row over `data` in nats, in the units that the model was trained in.

    Global latents are counted with each chunk of rows in proportion to its size. Devices
    of a `mesh` share the chunks that they divide, as many numbers of devices do 1920.
    """
    return validator(rng_key, svi, data, chunk_size, mesh)(state)


def validator(
    rng_key: Key[Array, ""],
    svi: SVI,
    data: MultimodalData,
    chunk_size: int = 1920,
    mesh: Mesh | None = None,
) -> Callable[[SVIState], float]:
    """`validation_bound` of the states of one training, traced once for all of them."""
    program = Program(partial(_bound, svi, mesh))

    def bound(state: SVIState) -> float:
        params, total = svi.get_params(state), 0.0
        for start in range(0, data.size, chunk_size):
            index = jnp.arange(start, min(start + chunk_size, data.size))
            key = jax.random.fold_in(rng_key, start)
            rows = data.batch(
                index
            )  # scaled up to all rows, hence a mean of the chunks
            total += len(index) / data.size * float(program(key, params, rows))
        return total / data.size

    return bound


def _bound(svi, mesh, rng_key, params, data) -> Float[Array, ""]:
    rows = on_mesh(data, mesh)
    return replicated(-svi.loss.loss(rng_key, params, svi.model, svi.guide, rows), mesh)
