"""Permutation-invariant aggregations: from features of a set to q(z | x_S).

An aggregation is constructed as `aggregation(num_features, latent_dim, rngs=rngs)`. The
work is split so that several subsets of one data set cost one encoding (`embed`) and
several cheap poolings. Permuting the modalities of `h` and of `subset` together changes
nothing, and an absent modality has no influence, not in the last bit.
"""

from abc import abstractmethod
from collections.abc import Sequence
from typing import final

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.guides.heads import NormalHead
from consilience.nn.mlp import MLP


class Aggregation(nnx.Module):
    """The role of an aggregation; subclasses are final."""

    @abstractmethod
    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities embedded"]:
        """All that can be computed of each modality alone, before the subset is known."""

    @abstractmethod
    def pool(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows parameters"]:
        """Parameters of q(z | x_S) from the embedded modalities of S."""

    @abstractmethod
    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        """q(z | x_S), batch `[N]`, event `[D]`."""


@final
class SumPooling(Aggregation):
    """Deep Sets: ϑ = ρ( Σ_{s∈S} χ(h_s) ) (Zaheer et al. 2017; Hirt et al., Example 1).

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        width: of χ's output, the pooled space.
        hidden: hidden layers of χ and of ρ.
        head: turns ϑ into a distribution.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (128,),
        head: NormalHead = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        self.chi = MLP(num_features, hidden, width, rngs=rngs)
        self.rho = MLP(width, hidden, head.num_parameters(latent_dim), rngs=rngs)
        self.head = head

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities embedded"]:
        return self.chi(h)

    def pool(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows parameters"]:
        return self.rho(sum_over(embedded, subset))

    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        return self.head(parameters)


@final
class ProductOfExperts(Aggregation):
    """Normal experts and a prior expert N(0, I), multiplied.

        Λ = I + Σ_{s∈S} Λ_s,    Λ μ = Σ_{s∈S} η_s

    Each expert is given by its natural parameters, which add up: η_s = √(1 + Λ_s) m_s and
    Λ_s = softplus(·), smoothly bounded by 1/min_scale². The network's m_s stays of moderate
    size whatever the precision is, and a step of the optimiser changes log Λ_s by little
    where Λ_s is large; with exp(·), training diverges. The empty subset gives N(0, I), to
    the last bit. (Wu & Goodman 2018; Hirt et al. 2024, section 3.1. The paper's own
    numbers for products of experts come from code that weights the means by variances.)

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        min_scale: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        if not 0 < min_scale < 1:
            raise ValueError(f"min_scale: expected a number in (0, 1), got {min_scale}")
        self.natural = nnx.Linear(num_features, 2 * latent_dim, rngs=rngs)
        self.min_variance = min_scale**2

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities embedded"]:
        """[η_s, Λ_s] of every expert."""
        mean, raw = jnp.split(self.natural(h), 2, -1)
        precision = nnx.softplus(raw)
        precision = precision / (1 + self.min_variance * precision)
        return jnp.concatenate([jnp.sqrt(1 + precision) * mean, precision], -1)

    def pool(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows parameters"]:
        """[Λ μ, Λ] of the product, the prior expert in it."""
        eta, precision = jnp.split(sum_over(embedded, subset), 2, -1)
        return jnp.concatenate([eta, 1 + precision], -1)

    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        eta, precision = jnp.split(parameters, 2, -1)
        return dist.Normal(eta / precision, jax.lax.rsqrt(precision)).to_event(1)


def sum_over(
    embedded: Float[Array, "rows modalities embedded"],
    subset: Bool[Array, "rows modalities"],
) -> Float[Array, "rows embedded"]:
    """Σ_{s∈S}; a modality outside S is not multiplied by zero but left out."""
    return jnp.where(subset[..., None], embedded, 0.0).sum(-2)


AGGREGATIONS = {"product_of_experts": ProductOfExperts, "sum_pooling": SumPooling}
