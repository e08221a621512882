"""The posterior itself, by NUTS: what an amortised one is held against."""

import dataclasses
import warnings
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from numpyro import handlers
from numpyro.diagnostics import effective_sample_size, split_gelman_rubin
from numpyro.infer import NUTS

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import check_subset
from consilience.inference.contract import require_data
from consilience.inference.counted import check_counted
from consilience.nn.executables import Program, tracing
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive

MIXED = 1.05


class Chains(NamedTuple):
    """How long NUTS runs for each row.

    Attributes:
        num_chains: chains a row, of which r̂ needs two or more.
        num_warmup: steps that adapt, and are thrown away.
        num_samples: draws a chain.
        chunk_size: rows at once; all wait for the longest trajectory among them.
    """

    num_chains: int = 4
    num_warmup: int = 500
    num_samples: int = 500
    chunk_size: int = 50


class ReferencePosterior(NamedTuple):
    """Draws from p(z | x_S) and whether to trust them.

    Attributes:
        dimensions: names of the D coordinates, as in "z[0]".
        draws: `[N, chains, draws, D]`.
        r_hat: `[N, D]`, split r̂; above 1.05 chains disagree.
        effective_sample_size: `[N, D]`, of all chains together.
        divergences: `[N]`, number of divergent transitions.
    """

    dimensions: tuple[str, ...]
    draws: Float[np.ndarray, "rows chains draws dims"]
    r_hat: Float[np.ndarray, "rows dims"]
    effective_sample_size: Float[np.ndarray, "rows dims"]
    divergences: Float[np.ndarray, " rows"]


@checked_kinds
def reference_posterior(
    rng_key: Key[Array, ""],
    model: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    chains: Chains = Chains(),  # noqa: B008 (a tuple)
) -> ReferencePosterior:
    """NUTS on p(z | x_S) of every row, with the very same model function.

    Each row has chains of its own, adapted on their own, all in one program.

    Args:
        rng_key: random key.
        model: p(x, z).
        params: its parameters, held fixed.
        data: N rows; a few, for each is a run of NUTS.
        subset: `[N, M]`, what to condition on; None means all that is present.
        chains: their number and length.

    Raises:
        ValueError: the model has a global latent, or counts what is missing; fewer than
            two chains.

    Warns:
        UserWarning: r̂ above 1.05, or divergent transitions: the reference itself is off.
    """
    require_data(data)
    check_positive(**chains._asdict())
    if chains.num_chains < 2:
        raise ValueError(
            f"chains: expected num_chains of 2 or more, got {chains.num_chains}"
        )
    subset = check_subset(data, subset)
    names, params = _latents(model, params, data)

    def trace_of(rows):
        return programs.run(model, params, jax.random.key(0), {}, rows)

    check_counted(trace_of, data, by_row=not np.all(subset))
    program = Program(partial(_run, model, chains, names))
    parts = [
        _chunk(program, rng_key, params, data.bare(), subset, start, chains.chunk_size)
        for start in range(0, data.size, chains.chunk_size)
    ]
    latents, divergences = jax.tree.map(lambda *x: np.concatenate(x), *parts)
    found = _diagnosed(*flattened(latents, 3), divergences.sum((1, 2)))
    _warn(found)
    return found


def flattened(latents: dict, batch: int) -> tuple[tuple[str, ...], np.ndarray]:
    """Names of coordinates, and sites side by side after `batch` axes."""
    names = [
        name if not shape else f"{name}[{', '.join(map(str, index))}]"
        for name, value in latents.items()
        for shape in [value.shape[batch:]]
        for index in np.ndindex(*shape)
    ]
    flat = [np.asarray(v).reshape(*v.shape[:batch], -1) for v in latents.values()]
    return tuple(names), np.concatenate(flat, -1)


def _latents(model, params, data) -> tuple[tuple[str, ...], dict]:
    """Latents of rows; the model's own parameters, so that guides share a program."""
    found: list[programs.Sites] = []
    own = {}

    def look():
        trace = programs.run(model, params, jax.random.key(0), {}, data, data.present)
        programs.require_params("model", trace, params)
        found.append(programs.sites_of(programs.latent_sites(trace)))
        own.update({n: params[n] for n in trace if n in params})

    with tracing():
        jax.eval_shape(look)
    if found[0].shared:
        raise ValueError(
            "model: expected latents of rows only, whose posterior a row has by itself, "
            f"got the global {', '.join(found[0].shared)}"
        )
    return found[0].local, own


def _chunk(program, rng_key, params, data, subset, start, chunk_size):
    """Rows from `start` on; the last chunk repeats a row, so that all have one shape."""
    size = min(chunk_size, data.size)
    index = np.arange(start, start + size)
    rows = np.where(index < data.size, index, 0)
    keys = jax.vmap(jax.random.fold_in, (None, 0))(rng_key, index)
    found = program(keys, params, data.take(rows), subset[rows])
    return jax.tree.map(lambda x: x[: data.size - start], found)


def _run(model, chains: Chains, names, keys, params, data, subset):
    def chain(key, index, members):
        row = dataclasses.replace(data.batch(index[None]), total=None)
        row = dataclasses.replace(row, present=members[None])
        kernel = NUTS(handlers.substitute(model, data=params))
        state = kernel.init(key, chains.num_warmup, None, (row,), {})
        constrain = kernel.postprocess_fn((row,), {})

        def step(state, _):
            return kernel.sample(state, (row,), {}), None

        def keep(state, _):
            state, _ = step(state, None)
            values = constrain(state.z)
            return state, ({n: values[n][0] for n in names}, state.diverging)

        state, _ = jax.lax.scan(step, state, None, length=chains.num_warmup)
        return jax.lax.scan(keep, state, None, length=chains.num_samples)[1]

    each = jax.vmap(jax.vmap(chain, (0, None, None)))
    keys = jax.vmap(lambda key: jax.random.split(key, chains.num_chains))(keys)
    return each(keys, jnp.arange(data.size), subset)


def _diagnosed(names, draws, divergences) -> ReferencePosterior:
    by_chain = np.moveaxis(draws, 0, 2).astype(float)  # chains, draws, rows, dims
    return ReferencePosterior(
        dimensions=names,
        draws=draws,
        r_hat=np.asarray(split_gelman_rubin(by_chain)),
        effective_sample_size=np.asarray(effective_sample_size(by_chain)),
        divergences=divergences.astype(float),
    )


def _warn(found: ReferencePosterior) -> None:
    unmixed = int((found.r_hat > MIXED).any(-1).sum())
    divergent = int((found.divergences > 0).sum())
    if unmixed or divergent:
        warnings.warn(
            f"reference_posterior: r̂ > {MIXED} in {unmixed} and divergent transitions in "
            f"{divergent} of {len(found.r_hat)} rows; the reference itself is off there: "
            "take more num_warmup and num_samples",
            stacklevel=3,
        )
