"""What rows of all tables are made of: bounds and aggregations by name."""

from collections.abc import Callable
from functools import partial

import consilience.guides as guides
from consilience.inference import MaskedELBO, MixtureELBO

BOUNDS = {"masked": MaskedELBO, "mixture": MixtureELBO}
FIXED, LEARNED = ("PoE", "MoE"), ("SumPooling", "SelfAttention")
AGGREGATIONS = FIXED + LEARNED


def invariant(name: str, width: int, **more) -> Callable:
    """Constructor of an aggregation for latents that all modalities share.

    Args:
        name: one of `AGGREGATIONS`.
        width: of the learned ones.
        more: other arguments of the learned ones.
    """
    sizes = {"width": width, "hidden": (width,), **more}
    return {
        "PoE": guides.ProductOfExperts,
        "MoE": guides.MixtureOfExperts,
        "SumPooling": partial(guides.SumPooling, **sizes),
        "SelfAttention": partial(guides.SelfAttention, **sizes),
    }[name]


def equivariant(name: str, width: int) -> Callable:
    """Likewise with private latents; experts have q(w_s | x_s)."""
    shared = invariant(name, width)
    experts = partial(guides.EquivariantProductOfExperts, shared=shared)
    sizes = {"width": width, "hidden": (width,), "shared": shared}
    return {
        "PoE": experts,
        "MoE": experts,
        "SumPooling": partial(guides.EquivariantSumPooling, **sizes),
        "SelfAttention": partial(guides.EquivariantSelfAttention, **sizes),
    }[name]
