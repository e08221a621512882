"""What rows of all tables are made of: bounds and aggregations by name."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import consilience.guides as guides
from consilience.inference import MaskedELBO, MixtureELBO
from consilience.nn import MLP, SkipMLP, rectified

BOUNDS = {"masked": MaskedELBO, "mixture": MixtureELBO}
FIXED, LEARNED = ("PoE", "MoE"), ("SumPooling", "SelfAttention")
AGGREGATIONS = FIXED + LEARNED
CORRECTED = "CorrectedPoE"  # not in the paper: a product that a sum pooling corrects


class Style(NamedTuple):
    """How aggregations are built and where they start.

    Attributes:
        head: of learned ones, for a Normal.
        network: of learned ones, for χ and ρ.
        init: from a constructor to one with other initial weights.
    """

    head: guides.Head
    network: Callable
    init: Callable[[Callable], Callable]


# The paper's, and one in which learned aggregations give natural parameters, as experts do.
PLAIN = Style(guides.NormalHead(), MLP, lambda constructor: constructor)
NATURAL = Style(guides.NaturalHead(), SkipMLP, rectified)


def invariant(
    name: str, width: int, style: Style = PLAIN, components: int | None = None
) -> Callable:
    """Constructor of an aggregation for latents that all modalities share.

    Args:
        name: one of `AGGREGATIONS`, or `CORRECTED`.
        width: of the learned ones.
        style: how they are built.
        components: of a mixture that the learned ones give in place of a Normal.
    """
    head = style.head
    if components is not None:
        head = guides.MixtureHead(components, head)
    parts = {"width": width, "hidden": (width,), "network": style.network, "head": head}
    correction = partial(guides.SumPooling, width=width, hidden=(width,))
    found = {
        "PoE": guides.ProductOfExperts,
        "MoE": guides.MixtureOfExperts,
        "SumPooling": partial(guides.SumPooling, **parts),
        "SelfAttention": partial(guides.SelfAttention, **parts),
        CORRECTED: partial(guides.CorrectedProductOfExperts, correction=correction),
    }
    return style.init(found[name])


def equivariant(name: str, width: int, style: Style = PLAIN) -> Callable:
    """Likewise with private latents."""
    parts = {"shared": invariant(name, width, style), "head": style.head}
    learned = parts | {"width": width, "hidden": (width,), "network": style.network}
    experts = partial(guides.EquivariantProductOfExperts, **parts)
    found = {
        "PoE": experts,
        "MoE": experts,
        "SumPooling": partial(guides.EquivariantSumPooling, **learned),
        "SelfAttention": partial(guides.EquivariantSelfAttention, **learned),
    }
    return style.init(found[name])
