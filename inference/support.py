"""Refuses data outside the support of their likelihood before training on them."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.draws import sampler
from consilience.nn.executables import Program, tracing


def check_support(
    rng_key, model: Callable, guide: Callable, params: dict, data: MultimodalData
) -> None:
    """Compare every measured entry with the support of its likelihood.

    Raises:
        ValueError: naming modality, row, value and likelihood.
    """
    support_check(rng_key, model, guide, params)(data)


def support_check(
    rng_key, model: Callable, guide: Callable, params: dict
) -> Callable[..., None]:
    """`check_support` of many blocks of rows, traced once.

    Its arguments are the rows, the number that errors give the first of them, and what
    errors begin with.
    """
    program = Program(partial(_outside, model, guide))

    def check(data: MultimodalData, first_row: int = 0, where: str = "") -> None:
        kinds: dict[str, str] = {}

        def work(key, rows, members):
            found = program(key, params, rows, members)
            kinds.update(_families(key, model, guide, params, rows, members))
            return found

        outside = over_rows(work, rng_key, data, None, 2000)
        for name, bad in outside.items():
            if np.any(bad):
                row = int(np.argmax(bad))
                value = np.array2string(np.asarray(data.values[name])[row], threshold=8)
                raise ValueError(
                    f"{where}modality {name!r}, row {first_row + row}: expected values in "
                    f"the support of its likelihood, {kinds[name]}, got {value}"
                )

    return check


def _outside(model, guide, rng_key, params, data, subset) -> dict[str, jax.Array]:
    """By modality, `[N]`: whether a measured entry is impossible."""
    trace = _trace(rng_key, model, guide, params, data, subset)
    return {name: _impossible(trace[name], data, name) for name in data.names}


def _families(rng_key, model, guide, params, data, subset) -> dict[str, str]:
    families = {}

    def look():
        trace = _trace(rng_key, model, guide, params, data, subset)
        families.update({n: programs.name_of(trace[n]["fn"]) for n in data.names})

    with tracing():
        jax.eval_shape(look)
    return families


def _trace(rng_key, model, guide, params, data, subset) -> dict:
    latents = sampler(rng_key, guide, params, data, subset)(rng_key).latents
    return programs.run(model, params, rng_key, latents, data)


def _impossible(site: dict, data: MultimodalData, name: str) -> jax.Array:
    fn, observed = programs.entrywise(site["fn"]), data.observed(name)
    supported = fn.support(site["value"])
    if fn.event_dim:
        observed = observed.all(tuple(range(-fn.event_dim, 0)))
    wrong = jnp.broadcast_to(~supported, observed.shape) & observed
    return wrong.reshape(data.size, -1).any(-1)
