"""Which terms of a bound are not finite, in which rows, and what may have made them so.

A density is to blame only where the latents that it is of are finite: what comes of an
infinite z is not finite whatever the data of that modality.
"""

from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.elbo import MultimodalELBO, over
from consilience.inference.terms import Evaluated, Views

LATENTS = "z ~ q(z | x_S)"
PRIOR, CROSS = "KL(q(z | x_S) ‖ p(z))", "KL(q(z | x_O) ‖ q(z | x_S))"
SHARED = "KL of the global latents"


class Blame(NamedTuple):
    """A term that is not finite, from causes that are.

    Attributes:
        term: such as "log p(genes | z)".
        rows: `[N]`, where it is not, none if it is so in every row that it counts in: then
            parameters are to blame, and no row.
    """

    term: str
    rows: Bool[Array, " rows"]


class Evidence(NamedTuple):
    """What is not finite in a bound at one key.

    Attributes:
        blames: terms, those first of which others are made; of those that follow from
            one that is not finite none.
        features: largest absolute feature by modality, empty if the guide's features are
            not by modality.
    """

    blames: list[Blame]
    features: dict[str, float]


def nonfinite_terms(
    bound: MultimodalELBO,
    rng_key: Key[Array, ""],
    params: dict,
    model,
    guide,
    data: MultimodalData,
) -> Evidence:
    """The terms that count in the bound at this key and are not finite.

    The draws are those of `bound.rows(rng_key, ...)`.
    """
    flags, sizes = _all_flags(bound, model, guide, rng_key, params, data.bare())
    terms = [LATENTS, *map(_likelihood, data.names), PRIOR, CROSS, SHARED]
    found = {term: flags[term] for term in terms if term in flags}
    blames = [Blame(term, rows) for term, (wrong, rows) in found.items() if wrong]
    features = zip(data.names, map(float, sizes), strict=False)
    return Evidence(blames, dict(features))


@partial(jax.jit, static_argnames=("bound", "model", "guide"))
def _all_flags(bound, model, guide, rng_key, params, data) -> tuple[dict, Array]:
    """By term: whether it is not finite anywhere, and the rows to blame; feature sizes."""

    def particle(views, evaluate, keys):
        return over(lambda key: _look(evaluate(key, views), views, data), keys)

    def judged(bad, counts):
        bad, counts = bad.any((0, 1)), counts.any((0, 1))
        return bad.any(), bad & ~(bad == counts).all()

    flags, sizes = bound.particles(particle, rng_key, params, model, guide, data)
    return {term: judged(*flag) for term, flag in flags.items()}, sizes.max((0, 1))


def _look(found: Evaluated, views: Views, data: MultimodalData) -> tuple[dict, Array]:
    return _flags(found, views, data), _feature_sizes(found.features, data)


def _flags(found: Evaluated, views: Views, data: MultimodalData) -> dict:
    """By term, `[N]` each: whether it counts and is not finite, and whether it counts."""
    terms, present = found.terms, data.present.any(-1)
    sound = _sound_latents(found)
    flags = {
        _likelihood(name): _bad(terms.log_x[..., i], views.score[..., i] != 0, sound)
        for i, name in enumerate(data.names)
    }
    counts = (views.weight != 0) & present
    flags[LATENTS] = _bad(jnp.where(sound, 0.0, jnp.nan), counts, True)
    flags[PRIOR] = _bad(terms.kl_prior, counts, sound)
    if views.cross:
        counts = views.cross_weight != 0
        drawn = sound[:, jnp.array([v for v, _ in views.cross])]
        flags[CROSS] = _bad(terms.kl_cross, counts, drawn)
    shared = jnp.broadcast_to(found.kl_shared, (1, 1, data.size))
    flags[SHARED] = _bad(shared, jnp.ones((1, data.size), bool), True)
    return flags


def _sound_latents(found: Evaluated) -> Bool[Array, "strata views rows"]:
    """Whether all latents of a row are finite."""
    finite = [
        jnp.isfinite(z).reshape(*z.shape[:3], -1).all(-1)
        for z in found.latents.values()
    ]
    return jnp.swapaxes(jnp.stack(finite).all(0), 0, 1)


def _feature_sizes(
    features: object, data: MultimodalData
) -> Float[Array, " modalities"]:
    """The largest absolute feature of each modality; infinite if one is not finite."""
    sizes = [
        jnp.abs(x).reshape(*data.present.shape, -1).max(-1)
        for x in jax.tree.leaves(features)
        if jnp.shape(x)[:2] == data.present.shape
    ]
    if not sizes:
        return jnp.zeros(0)
    sizes = jnp.where(data.present, jnp.stack(sizes), 0.0).max((0, 1))
    return jnp.where(jnp.isnan(sizes), jnp.inf, sizes)


def _likelihood(name: str) -> str:
    return f"log p({name} | z)"


def _bad(values, counts: Bool[Array, "views rows"], sound):
    """Of values `[K, V, N]`: not finite where they count and their latents are sound."""
    return (~jnp.isfinite(values) & counts & sound).any((0, 1)), counts.any(0)
