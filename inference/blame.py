"""Which term of a bound is not finite, and in which rows."""

from functools import partial
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.elbo import MultimodalELBO, over
from consilience.inference.terms import Evaluated, Views
from consilience.nn.executables import Program

PRIOR, CROSS = "KL(q(z | x_S) ‖ p(z))", "KL(q(z | x_O) ‖ q(z | x_S))"
SHARED = "KL of the global latents"


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
    program = Program(partial(_all_flags, bound, model, guide))
    flags = program(rng_key, params, data.bare())
    terms = [*map(_likelihood, data.names), PRIOR, CROSS, SHARED]
    found = {term: flags[term] for term in terms if term in flags}
    return [Blame(term, rows) for term, (wrong, rows) in found.items() if wrong]


def _all_flags(bound, model, guide, rng_key, params, data) -> dict[str, tuple]:
    """By term: whether it is not finite anywhere, and the rows to blame."""

    def particle(views, evaluate, keys):
        return over(lambda key: _flags(evaluate(key, views), views, data), keys)

    def judged(bad, counts):
        bad, counts = bad.any((0, 1)), counts.any((0, 1))
        return bad.any(), bad & ~(bad == counts).all()

    flags = bound.particles(particle, rng_key, params, model, guide, data)
    return {term: judged(*flag) for term, flag in flags.items()}


def _flags(found: Evaluated, views: Views, data: MultimodalData) -> dict:
    """By term, `[N]` each: whether it counts and is not finite, and whether it counts."""
    terms, present = found.terms, data.present.any(-1)
    flags = {
        _likelihood(name): _bad(terms.log_x[..., i], views.score[..., i] != 0)
        for i, name in enumerate(data.names)
    }
    counts = (views.weight != 0) & present
    flags[PRIOR] = _bad(terms.kl_prior, counts)
    if views.cross:
        counts = views.cross_weight != 0
        flags[CROSS] = _bad(terms.kl_cross, counts)
    shared = jnp.broadcast_to(found.kl_shared, (1, 1, data.size))
    flags[SHARED] = _bad(shared, jnp.ones((1, data.size), bool))
    return flags


def _likelihood(name: str) -> str:
    return f"log p({name} | z)"


def _bad(values: Float[Array, "strata views rows"], counts: Bool[Array, "views rows"]):
    return (~jnp.isfinite(values) & counts).any((0, 1)), counts.any(0)
