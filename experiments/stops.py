"""Training with looks at the parameters on the way."""

import math
from collections.abc import Iterator, Sequence
from functools import partial

import jax
import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Key
from numpyro.infer import SVI
from numpyro.infer.svi import SVIState

from consilience.datasets.data import MultimodalData
from consilience.nn.executables import Program
from consilience.training.start import initial_state


def train_with_stops(
    rng_key: Key[Array, ""],
    svi: SVI,
    data: MultimodalData,
    *,
    stops: Sequence[int],
    batch_size: int,
    start: dict | None = None,
) -> Iterator[tuple[int, dict]]:
    """Train and yield (steps, constrained parameters) at each of `stops`.

    Rows are drawn with replacement.

    Args:
        rng_key: of initial values, rows and noise.
        svi: model, guide, optimiser, bound.
        data: training rows.
        stops: numbers of steps, increasing.
        batch_size: rows a step.
        start: initial values of parameters by site, in place of the programs' own.
    """
    if list(stops) != sorted(set(stops)):
        raise ValueError(f"steps: expected increasing numbers, got {list(stops)}")
    data, size = data.bare(), min(batch_size, data.size)
    key_init, key_rows = jax.random.split(rng_key)
    state = initial_state(key_init, svi, data.batch(jnp.arange(size)), start)
    chunk = math.gcd(*stops)  # one compilation
    advance = Program(partial(_advance, svi, chunk, size), donate=[0])
    for done in range(chunk, stops[-1] + 1, chunk):
        state = advance(state, data, key_rows, done - chunk)
        if done in stops:
            yield done, jax.tree.map(jnp.copy, svi.get_params(state))


def _advance(
    svi: SVI, steps: int, size: int, state: SVIState, data, rng_key, start
) -> SVIState:
    def step(state, i):
        key = jax.random.fold_in(rng_key, i)
        rows = jax.random.randint(key, (size,), 0, data.size)
        return svi.update(state, data.batch(rows))[0], None

    return lax.scan(step, state, start + jnp.arange(steps))[0]
