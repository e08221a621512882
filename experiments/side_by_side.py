"""Training several seeds in one program, each with data of its own."""

from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData


def train_side_by_side(
    rng_keys: Key[Array, " seeds"],
    svi: SVI,
    data: Sequence[MultimodalData],
    *,
    stops: Sequence[int],
    batch_size: int,
) -> Iterator[tuple[int, list[dict]]]:
    """Train one run for each key and data set; yield parameters at each of `stops`.

    Rows of a batch are drawn without replacement, those of different steps with.

    Args:
        rng_keys: one a seed.
        svi: model, guide, optimiser, bound.
        data: training rows of each seed, of one shape.
        stops: numbers of steps, increasing.
        batch_size: rows a step.

    Yields:
        steps so far, and the constrained parameters of each seed.
    """
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(d.bare() for d in data))
    size = min(batch_size, data[0].size)
    keys_init, keys = (
        jax.vmap(partial(jax.random.fold_in, data=i))(rng_keys) for i in (0, 1)
    )
    first = jax.vmap(lambda d: d.batch(jnp.arange(size)))
    state = jax.jit(jax.vmap(svi.init))(keys_init, first(stacked))
    done = 0
    for stop in stops:
        state = _advance(svi, state, stacked, keys, done, stop - done, size)
        done = stop
        params = svi.get_params(state)
        yield (
            done,
            [jax.tree.map(lambda a, i=i: a[i], params) for i in range(len(data))],
        )


@partial(jax.jit, static_argnames=("svi", "steps", "size"), donate_argnames="state")
def _advance(svi: SVI, state: SVIState, data, keys, done, steps: int, size: int):
    """`steps` updates of all seeds."""

    def one(state, data, key):
        rows = jax.random.choice(key, data.size, (size,), replace=False)
        return svi.update(state, data.batch(rows))[0]

    def step(state, i):
        now = jax.vmap(partial(jax.random.fold_in, data=i))(keys)
        return jax.vmap(one)(state, data, now), None

    return lax.scan(step, state, done + jnp.arange(steps))[0]
