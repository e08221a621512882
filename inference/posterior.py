"""Draws from q(z | x_S) and what they generate."""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.contract import inspect, require_data
from consilience.inference.draws import draw_shared, sampler
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


@checked_kinds
def posterior(
    rng_key: Key[Array, ""],
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_samples: int = 1000,
    chunk_size: int = 1000,
) -> dict[str, Shaped[Array, "samples rows ..."]]:
    """Draw from q(z | x_S) for each row.

    Random numbers follow the place of a row, not its name: the same rows in another order,
    or with another `chunk_size`, get other draws of the same laws under the same key.

    Args:
        rng_key: random key.
        guide: `guide(data, subset=None)`.
        params: its trained parameters.
        data: N rows.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_samples: draws a row.
        chunk_size: rows at once.

    Returns:
        by latent site, `[num_samples, N, ...]` for those of rows and `[num_samples, ...]`
        for global ones, whose draws all rows share.
    """
    require_data(data)
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    key_shared, key_rows = jax.random.split(rng_key)
    shared = shared_draws(key_shared, guide, params, data, num_samples, chunk_size)

    draws = Program(partial(_draws, guide, num_samples))

    def work(key, rows, members):
        return draws(key, params, rows, members, shared)

    return over_rows(work, key_rows, data, subset, chunk_size, axis=1) | shared


def shared_draws(rng_key, guide, params, data, num_samples, chunk_size) -> dict:
    """Draws of the global sites; a guide that makes them of rows sees one chunk."""
    rows = data.bare().take(slice(0, chunk_size))
    return draw_shared(rng_key, guide, params, rows, num_samples)


def _draws(guide, num_samples, rng_key, params, data, subset, shared):
    sample = sampler(rng_key, guide, params, data, subset)

    def one(key, values):
        return sample(key, values).of_rows

    return jax.vmap(one)(jax.random.split(rng_key, num_samples), shared)


@checked_kinds
def generate(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_samples: int = 1,
    mean: bool = False,
    chunk_size: int = 1000,
) -> dict[str, Shaped[Array, "samples rows ..."]]:
    """Complete rows: x̂_t ~ p(x_t | z), z ~ q(z | x_S), for every modality t.

    Random numbers follow the place of a row, not its name: the same rows in another order,
    or with another `chunk_size`, get other draws of the same laws under the same key.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_samples: draws a row.
        mean: give E[x_t | z] of each draw of z in place of a draw of x_t; of a modality on
            a log scale the mean there, brought back: the median if its law is symmetric.
        chunk_size: rows at once.

    Returns:
        by modality, `[num_samples, N, *event]`, in the units of the unscaled data.

    Raises:
        ValueError, TypeError: the programs break the contract of estimates.
        ValueError: a mean is asked for of a modality whose likelihood has none.
    """
    require_data(data)
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    inspect(model, guide, params, data)

    key_shared, key_rows = jax.random.split(rng_key)
    shared = shared_draws(key_shared, guide, params, data, num_samples, chunk_size)

    completions = Program(partial(_completions, model, guide, num_samples, mean))

    def work(key, rows, members):
        return completions(key, params, rows, members, shared)

    generated = over_rows(work, key_rows, data, subset, chunk_size, axis=1)
    return data.unstandardize(_with_means(generated) if mean else generated)


def _completions(
    model, guide, num_samples, mean, rng_key, params, data, subset, shared
):
    sample = sampler(rng_key, guide, params, data, subset)

    def one(key, values):
        key_guide, key_model = jax.random.split(key)
        latents = sample(key_guide, values).latents
        return _outputs(key_model, model, params, latents, data, mean)

    return jax.vmap(one)(jax.random.split(rng_key, num_samples), shared)


@checked_kinds
def generate_from_prior(
    rng_key: Key[Array, ""],
    model: Callable,
    params: dict,
    data: MultimodalData,
    *,
    num_samples: int = 1,
    mean: bool = False,
) -> dict[str, Shaped[Array, "samples rows ..."]]:
    """Generate all modalities from z ~ p(z), with the shapes and covariates of `data`.

    Arguments and result: as in `generate`; nothing of the values of `data` is used.
    """
    require_data(data)
    check_positive(num_samples=num_samples)
    program = Program(partial(_unconditional, model, num_samples, mean))
    generated = program(rng_key, params, data.bare())
    return data.unstandardize(_with_means(generated) if mean else generated)


def _unconditional(model, num_samples, mean, rng_key, params, data):
    def one(key):
        return _outputs(key, model, params, {}, data, mean)

    return jax.vmap(one)(jax.random.split(rng_key, num_samples))


def _outputs(rng_key, model, params, latents, data, mean: bool) -> dict:
    """One draw, or the mean, of every modality given the latents."""
    trace = programs.run(model, params, rng_key, latents, data.without_values())
    if mean:
        return {name: trace[name]["fn"].mean for name in data.names}
    return {name: trace[name]["value"] for name in data.names}


def _with_means(generated: dict) -> dict:
    for name, value in generated.items():
        if bool(jnp.isnan(value).all()):
            raise ValueError(
                f"mean: modality {name!r}: its likelihood has no mean (categories have "
                "none); expected mean=False"
            )
    return generated
