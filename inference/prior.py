"""Draws of the latents from the model's prior, row by row."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
from jaxtyping import Array, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.posterior import shared_draws
from consilience.nn.executables import Program


class PriorDraws(NamedTuple):
    """Joint draws z ~ p(z), x ~ p(x | z), given the covariates of each row.

    Attributes:
        local: latents of rows by site, `[samples, N, ...]`.
        shared: global latents by site, `[samples, ...]`.
        predictive: by modality, `[samples, N, *event]` in the units of the unscaled
            data; empty if not asked for.
    """

    local: dict[str, Shaped[Array, "samples rows ..."]]
    shared: dict[str, Shaped[Array, "samples ..."]]
    predictive: dict[str, Shaped[Array, "samples rows ..."]]


def prior_draws(
    rng_key: Key[Array, ""],
    model: Callable,
    params: dict,
    data: MultimodalData,
    num_samples: int,
    chunk_size: int,
    predictive: bool,
) -> PriorDraws:
    """Draw the latents of each row; nothing of the values of `data` is used."""
    key_shared, key_rows = jax.random.split(rng_key)
    shared = shared_draws(key_shared, model, params, data, num_samples, chunk_size)
    program = Program(partial(_rows, model, num_samples, predictive))

    def work(key, rows, members):
        return program(key, params, rows, shared)

    local, drawn = over_rows(work, key_rows, data, None, chunk_size, axis=1)
    return PriorDraws(local, shared, data.unstandardize(drawn))


def _rows(model, num_samples, predictive, rng_key, params, data, shared):
    def one(key, fixed):
        trace = programs.run(model, params, key, fixed, data.without_values())
        latents = {
            name: site["value"]
            for name, site in programs.latent_sites(trace).items()
            if name not in data.names and programs.in_plate(site)
        }
        names = data.names if predictive else ()
        return latents, {name: trace[name]["value"] for name in names}

    return jax.vmap(one)(jax.random.split(rng_key, num_samples), shared)
