"""Densities and predictions of single entries at given draws of the latents."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.nn.executables import Program


def at_draws(
    rng_key: Key[Array, ""],
    model: Callable,
    params: dict,
    data: MultimodalData,
    latents: dict,
    shared: dict,
    chunk_size: int,
) -> tuple[dict, dict]:
    """Of each draw, x̂ ~ p(x | z) and log p(x_j | z) entry by entry, NaN where missing.

    By modality, `[samples, N, *event]`, in the units of the unscaled data. A likelihood
    with a joint law over axes (one-hot values) has one density for all of them.

    Args:
        rng_key: random key.
        model: p(x, z).
        params: its parameters.
        data: N rows.
        latents: of rows, `[samples, N, ...]`.
        shared: global ones, `[samples, ...]`.
        chunk_size: rows at once.
    """
    of_rows = {name: np.swapaxes(np.asarray(x), 0, 1) for name, x in latents.items()}

    program = Program(partial(_at_draws, model))

    def work(key, rows, members, of_rows):
        return program(key, params, rows, of_rows, shared)

    made = over_rows(work, rng_key, data, None, chunk_size, axis=1, also=(of_rows,))
    generated, log_x = made
    found = {n: _first_units(np.asarray(x), data, n) for n, x in log_x.items()}
    return data.unstandardize(generated), found


def _at_draws(model, rng_key, params, data, of_rows, shared):
    def one(key, given):
        trace = programs.run(model, params, key, given, data.without_values())
        log_x = {
            name: programs.entrywise(trace[name]["fn"]).log_prob(data.filled(name))
            for name in data.names
        }
        return {name: trace[name]["value"] for name in data.names}, log_x

    by_draw = jax.tree.map(lambda x: jnp.swapaxes(x, 0, 1), of_rows) | shared
    keys = jax.random.split(rng_key, len(next(iter(by_draw.values()))))
    return jax.vmap(one)(keys, by_draw)


def _first_units(log_x: np.ndarray, data: MultimodalData, name: str) -> np.ndarray:
    """With the Jacobian of each entry, NaN where it is missing."""
    observed = np.asarray(data.observed(name))
    joint = tuple(range(log_x.ndim - 1, observed.ndim))  # axes of a joint law
    scaled = data.standardization
    if scaled is not None and name in scaled.scale:
        term = np.asarray(scaled.log_derivative(name, data.filled(name)))
        log_x = log_x + term.sum(joint)
    return np.where(observed.all(joint), log_x, np.nan)
