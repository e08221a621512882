"""One draw of the guide, and its importance weight: what all estimates are made of."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from consilience.inference import programs
from consilience.nn.executables import Program, tracing


class Draw(NamedTuple):
    """One draw of the guide for every row.

    Attributes:
        latents: values by site, of rows `[N, ...]` and global ones.
        local: names of the sites of rows among them.
        log_q: log q(z | x_S) of the sites of rows.
    """

    latents: dict[str, Array]
    local: tuple[str, ...]
    log_q: Float[Array, " rows"]

    @property
    def of_rows(self) -> dict[str, Array]:
        """Values of the sites of rows."""
        return {name: self.latents[name] for name in self.local}


class Weighed(NamedTuple):
    """A draw seen by the model.

    Attributes:
        of_rows: values of the sites of rows.
        log_x: log p(x_s | z); zero where x_s is absent.
        log_weight: log p(x_S, z) − log q(z | x_S); zero where S is empty.
    """

    of_rows: dict[str, Array]
    log_x: Float[Array, "rows modalities"]
    log_weight: Float[Array, " rows"]


def sampler(rng_key, guide, params, data, subset) -> Callable[..., Draw]:
    """A function from a key, and values of sites that are fixed, to a draw.

    Features are computed here, once for all draws. Draw and density are of one call: a
    guide may be random given its parameters, and then every key has a q of its own, which
    is drawn from or, with the sites of rows fixed, evaluated elsewhere.
    """
    first = programs.run(guide, params, rng_key, {}, data, subset)
    programs.require_params("guide", first, params)
    sites = programs.sites_of(programs.latent_sites(first))
    given = programs.with_features(programs.features(first))

    def sample(key, fixed=None) -> Draw:
        values = given | (fixed or {})
        trace = programs.run(guide, params, key, values, data, subset)
        latents = {n: trace[n]["value"] for n in (*sites.local, *sites.shared)}
        log_q = sum(trace[name]["fn"].log_prob(latents[name]) for name in sites.local)
        return Draw(latents, sites.local, log_q)

    return sample


def weigher(rng_key, model, guide, params, data, subset) -> Callable[..., Weighed]:
    """A function from a key, and values of global sites if fixed, to a weighed draw.

    The subset is applied here, so that a model that ignores its argument is right too.
    """
    sample = sampler(rng_key, guide, params, data, subset)

    def weigh(key, shared=None) -> Weighed:
        key_guide, key_model = jax.random.split(key)
        draw = sample(key_guide, shared)
        latents, local = draw.latents, draw.local
        log_x, log_p = log_joint(key_model, model, params, data, subset, latents, local)
        log_weight = jnp.where(subset.any(-1), log_p - draw.log_q, 0.0)
        return Weighed(draw.of_rows, log_x, log_weight)

    return weigh


def log_joint(
    rng_key, model, params, data, subset, latents: dict, local: tuple[str, ...]
) -> tuple[Float[Array, "rows modalities"], Float[Array, " rows"]]:
    """log p(x_s | z) `[N, M]`, zero where absent, and log p(x_S, z) of the rows' latents."""
    trace = programs.run(model, params, rng_key, latents, data)
    programs.require_params("model", trace, params)
    log_x = [trace[n]["fn"].log_prob(trace[n]["value"]) for n in data.names]
    log_x = jnp.where(data.present, jnp.stack(log_x, -1), 0.0)
    log_z = sum(trace[n]["fn"].log_prob(latents[n]) for n in local)
    return log_x, log_z + jnp.where(subset, log_x, 0.0).sum(-1)


def draw_shared(rng_key, guide, params, data, num_samples: int) -> dict[str, Array]:
    """Draws of the global sites by name, `[num_samples, ...]`; empty without any."""
    with tracing():
        found = jax.eval_shape(partial(_draw_shared, guide, 1), rng_key, params, data)
    if not found:
        return {}
    return Program(partial(_draw_shared, guide, num_samples))(rng_key, params, data)


def _draw_shared(guide, num_samples, rng_key, params, data) -> dict[str, Array]:
    first = programs.run(guide, params, rng_key, {}, data, data.present)
    sites = programs.sites_of(programs.latent_sites(first))

    def one(key):
        return programs.draw_shared(key, guide, params, data, sites)[0]

    return jax.vmap(one)(jax.random.split(rng_key, num_samples))
