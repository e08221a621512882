"""Permutation-equivariant aggregations: posteriors of private latents.

Constructed as `aggregation(num_features, latent_dim, private_dim, rngs=rngs)`. The shared
latent z is pooled as ever; permuting features together with the subset permutes the laws
of the private latents w_1..w_M given z.
"""

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import final

import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree

from consilience.guides.experts import ProductOfExperts
from consilience.guides.heads import (
    Head,
    LocationScaleHead,
    NormalHead,
    final_scale,
)
from consilience.guides.roles import Aggregation, only, sum_over
from consilience.guides.self_attention import SelfAttention
from consilience.guides.sum_pooling import SumPooling
from consilience.nn.attention import TransformerBlocks
from consilience.nn.mlp import MLP, dense

Embedded = dict[str, PyTree[Float[Array, "rows modalities ..."]]]
LocScale = tuple[
    Float[Array, "rows modalities private"], Float[Array, "rows modalities private"]
]


def _normal(head: Head) -> LocationScaleHead:
    """The head, which must give Normals: those of absent modalities are the prior's.

    Raises:
        TypeError: it is no head, or of another family.
    """
    if not isinstance(head, LocationScaleHead) or head.family is not dist.Normal:
        raise TypeError(f"head: expected NormalHead() or NaturalHead(), got {head!r}")
    return head


class EquivariantAggregation(Aggregation):
    """The role: an invariant aggregation for z, and `private` for w given z.

    Attributes:
        shared: the aggregation for z.
        head: from numbers to (μ_s, σ_s) of a Normal.
    """

    shared: Aggregation
    head: LocationScaleHead

    @abstractmethod
    def private(
        self,
        embedded: Embedded,
        z: Float[Array, "rows latent"],
        subset: Bool[Array, "rows modalities"],
    ) -> LocScale:
        """(μ_s, σ_s) of q(w_s | z, x_S); those of s ∉ S are not used."""

    def pool(
        self, embedded: Embedded, subset: Bool[Array, "rows modalities"]
    ) -> PyTree[Float[Array, "rows ..."]]:
        """Parameters of q(z | x_S)."""
        return self.shared.pool(embedded["shared"], subset)

    def attention_weights(
        self, embedded: Embedded, subset: Bool[Array, "rows modalities"]
    ) -> Float[Array, "rows layers heads modalities modalities"] | None:
        """Those of the aggregation for z."""
        return self.shared.attention_weights(embedded["shared"], subset)

    def distribution(
        self, parameters: PyTree[Float[Array, "rows ..."]]
    ) -> dist.Distribution:
        return self.shared.distribution(parameters)


@final
class EquivariantProductOfExperts(EquivariantAggregation):
    """PE-PoE (Hirt et al. 2024, Example 3): w_s ~ q(w_s | x_s), whatever else is given.

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        private_dim: W.
        shared: constructor of the aggregation for z.
        head: of q(w_s | ·), `NormalHead()`, or `NaturalHead()`, whose σ is below 1: for
            private priors of that scale, such as the standard one.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        private_dim: int,
        *,
        shared: Callable[..., Aggregation] = ProductOfExperts,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        self.head = _normal(head)
        self.shared = shared(num_features, latent_dim, rngs=rngs)
        outputs = head.num_parameters(private_dim)
        self.own = dense(num_features, outputs, final_scale(head), rngs=rngs)

    def embed(self, h: Float[Array, "rows modalities features"]) -> Embedded:
        """What z's aggregation embeds, and the numbers of each q(w_s | x_s)."""
        return {"shared": self.shared.embed(h), "own": self.own(h)}

    def private(self, embedded, z, subset) -> LocScale:
        return self.head.loc_scale(only(embedded["own"], subset))


@final
class EquivariantSumPooling(EquivariantAggregation):
    """PE-SumPooling (Example 4): [μ_s, log σ_s] = ρ( Σ_{t∈S} χ₀(h_t) + χ₁(z) + χ₂(h_s) ).

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        private_dim: W.
        width: of what χ₀, χ₁, χ₂ give.
        hidden: hidden layers of them and of ρ.
        network: constructor of them and of ρ.
        shared: constructor of the aggregation for z.
        head: of q(w_s | ·), `NormalHead()`, or `NaturalHead()`, whose σ is below 1: for
            private priors of that scale, such as the standard one.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        private_dim: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (128,),
        network: Callable = MLP,
        shared: Callable[..., Aggregation] = SumPooling,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        self.head = _normal(head)
        self.shared = shared(num_features, latent_dim, rngs=rngs)
        self.chi_0 = network(num_features, hidden, width, rngs=rngs)
        self.chi_1 = network(latent_dim, hidden, width, rngs=rngs)
        self.chi_2 = network(num_features, hidden, width, rngs=rngs)
        outputs, small = head.num_parameters(private_dim), final_scale(head)
        self.rho = network(width, hidden, outputs, final_scale=small, rngs=rngs)

    def embed(self, h: Float[Array, "rows modalities features"]) -> Embedded:
        """What z's aggregation embeds, χ₀(h_s) and χ₂(h_s)."""
        return {
            "shared": self.shared.embed(h),
            "all": self.chi_0(h),
            "own": self.chi_2(h),
        }

    def private(self, embedded, z, subset) -> LocScale:
        common = sum_over(embedded["all"], subset) + self.chi_1(z)
        own = only(embedded["own"], subset)
        return self.head.loc_scale(self.rho(common[..., None, :] + own))


@final
class EquivariantSelfAttention(EquivariantAggregation):
    """PE-SelfAttention (Example 5): blocks over S from g⁰_s = χ₁(z) + χ₂(h_s), then linear.

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        private_dim: W.
        width: of χ₁, χ₂ and the blocks.
        hidden: hidden layers of χ₁ and χ₂; the first is FFN's hidden width, too.
        network: constructor of χ₁ and χ₂.
        num_layers: blocks.
        num_heads: heads of each block, a divisor of `width`.
        norm: "layer" or "set".
        pre_norm: normalise before attention and FFN, or else after.
        shared: constructor of the aggregation for z.
        head: of q(w_s | ·), `NormalHead()`, or `NaturalHead()`, whose σ is below 1: for
            private priors of that scale, such as the standard one.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        private_dim: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (128,),
        network: Callable = MLP,
        num_layers: int = 1,
        num_heads: int = 4,
        norm: str = "layer",
        pre_norm: bool = True,
        shared: Callable[..., Aggregation] = SelfAttention,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        self.head = _normal(head)
        self.shared = shared(num_features, latent_dim, rngs=rngs)
        self.chi_1 = network(latent_dim, hidden, width, rngs=rngs)
        self.chi_2 = network(num_features, hidden, width, rngs=rngs)
        settings = (num_layers, num_heads, norm, pre_norm)
        self.blocks = TransformerBlocks(width, hidden, *settings, rngs=rngs)
        outputs = head.num_parameters(private_dim)
        self.last = dense(width, outputs, final_scale(head), rngs=rngs)

    def embed(self, h: Float[Array, "rows modalities features"]) -> Embedded:
        """What z's aggregation embeds, and χ₂(h_s)."""
        return {"shared": self.shared.embed(h), "own": self.chi_2(h)}

    def private(self, embedded, z, subset) -> LocScale:
        g = self.chi_1(z)[..., None, :] + only(embedded["own"], subset)
        g, _ = self.blocks(g, subset)
        return self.head.loc_scale(self.last(g))


EQUIVARIANT_AGGREGATIONS = {
    "product_of_experts": EquivariantProductOfExperts,
    "sum_pooling": EquivariantSumPooling,
    "self_attention": EquivariantSelfAttention,
}
