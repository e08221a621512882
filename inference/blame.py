"""Which term of a bound is not finite, and in which rows."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.elbo import MultimodalELBO, over
from consilience.inference.terms import Evaluated, Views


class Blame(NamedTuple):
    """A term that is not finite.

    Attributes:
        term: such as "log p(genes | z)".
        rows: `[N]`, where it is not; all of them for a global latent.
    """

    term: str
    rows: Bool[Array, " rows"]


def nonfinite_terms(
    bound: MultimodalELBO,
    rng_key: Key[Array, ""],
    params: dict,
    model,
    guide,
    data: MultimodalData,
) -> list[Blame]:
    """The terms that count in the bound at this key and are not finite, first causes first.

    The draws are those of `bound.rows(rng_key, ...)`.
    """

    def particle(views, evaluate, keys):
        def sample(key):
            return _flags(evaluate(key, views), views, data)

        return over(sample, keys)

    flags = bound.particles(particle, rng_key, params, model, guide, data)
    joined = {name: flag.any((0, 1)) for name, flag in flags.items()}
    return [Blame(name, rows) for name, rows in joined.items() if rows.any()]


def _flags(found: Evaluated, views: Views, data: MultimodalData) -> dict[str, Array]:
    """By term, `[N]`: whether it counts and is not finite."""
    terms, present = found.terms, data.present.any(-1)
    log_x = ~jnp.isfinite(terms.log_x) & (views.score != 0)
    flags = {
        f"log p({name} | z)": log_x[..., i].any((0, 1))
        for i, name in enumerate(data.names)
    }
    prior = ~jnp.isfinite(terms.kl_prior) & (views.weight != 0) & present
    flags["KL(q(z | x_S) ‖ p(z))"] = prior.any((0, 1))
    if views.cross:
        cross = ~jnp.isfinite(terms.kl_cross) & (views.cross_weight != 0)
        flags["KL(q(z | x_O) ‖ q(z | x_S))"] = cross.any((0, 1))
    shared = ~jnp.isfinite(found.kl_shared)
    flags["KL of the global latents"] = jnp.broadcast_to(shared, (data.size,))
    return flags
