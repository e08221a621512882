"""Which term of a bound is not finite, and in which rows."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.elbo import MultimodalELBO, over
from consilience.inference.terms import Evaluated, Views


class Blame(NamedTuple):
    """A term that is not finite.

    Attributes:
        term: such as "log p(genes | z)".
        rows: `[N]`, where it is not, none if it is so in every row that it counts in: then
            parameters are to blame, and no row.
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
        return over(lambda key: _flags(evaluate(key, views), views, data), keys)

    flags = bound.particles(particle, rng_key, params, model, guide, data)
    blames = []
    for name, (bad, counts) in flags.items():
        bad, counts = bad.any((0, 1)), counts.any((0, 1))
        if bad.any():
            blames.append(Blame(name, bad & ~(bad == counts).all()))
    return blames


def _flags(found: Evaluated, views: Views, data: MultimodalData) -> dict:
    """By term, `[N]` each: whether it counts and is not finite, and whether it counts."""
    terms, present = found.terms, data.present.any(-1)
    flags = {
        f"log p({name} | z)": _bad(terms.log_x[..., i], views.score[..., i] != 0)
        for i, name in enumerate(data.names)
    }
    counts = (views.weight != 0) & present
    flags["KL(q(z | x_S) ‖ p(z))"] = _bad(terms.kl_prior, counts)
    if views.cross:
        counts = views.cross_weight != 0
        flags["KL(q(z | x_O) ‖ q(z | x_S))"] = _bad(terms.kl_cross, counts)
    shared = jnp.broadcast_to(found.kl_shared, (1, 1, data.size))
    flags["KL of the global latents"] = _bad(shared, jnp.ones((1, data.size), bool))
    return flags


def _bad(values: Float[Array, "strata views rows"], counts: Bool[Array, "views rows"]):
    return (~jnp.isfinite(values) & counts).any((0, 1)), counts.any(0)
