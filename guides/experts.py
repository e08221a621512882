"""Products and mixtures of uni-modal experts q(z | x_s)."""

from typing import final

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.guides.heads import (
    Head,
    LocationScaleHead,
    NormalHead,
    bounded_precision,
    check_head,
    check_min_scale,
    final_scale,
    mixture,
)
from consilience.guides.roles import Aggregation, only
from consilience.nn.mlp import dense


class Experts(nnx.Module):
    """Normal experts by their natural parameters, which add up in a product.

        η_s = √(1 + Λ_s) m_s,    Λ_s = softplus(·), smoothly bounded by 1/min_scale²

    The network's m_s stays of moderate size whatever the precision is, and a step of the
    optimiser changes log Λ_s by little where Λ_s is large; with exp(·), training diverges.

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.
    """

    def __init__(
        self, num_features: int, latent_dim: int, min_scale: float, *, rngs: nnx.Rngs
    ):
        check_min_scale(min_scale)
        self.linear = nnx.Linear(num_features, 2 * latent_dim, rngs=rngs)
        self.min_scale = min_scale

    def __call__(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities parameters"]:
        """[η_s, Λ_s] of every expert."""
        mean, raw = jnp.split(self.linear(h), 2, -1)
        precision = bounded_precision(raw, self.min_scale)
        return jnp.concatenate([jnp.sqrt(1 + precision) * mean, precision], -1)


def with_prior(
    natural: Float[Array, "*batch parameters"],
) -> Float[Array, "*batch parameters"]:
    """[η, Λ + 1]: a product of experts times the prior expert N(0, I)."""
    eta, precision = jnp.split(natural, 2, -1)
    return jnp.concatenate([eta, 1 + precision], -1)


def mean_scale(
    natural: Float[Array, "*batch parameters"],
) -> tuple[Float[Array, "*batch latent"], Float[Array, "*batch latent"]]:
    """Mean and standard deviation from [η, Λ]."""
    eta, precision = jnp.split(natural, 2, -1)
    return eta / precision, jax.lax.rsqrt(precision)


@final
class ProductOfExperts(Aggregation):
    """Normal experts, multiplied (Wu & Goodman 2018; Hirt et al. 2024, section 3.1).

        Λ = Λ_0 + Σ_{s∈S} a_s Λ_s,    Λ μ = Σ_{s∈S} a_s η_s

    The empty subset gives N(0, I), to the last bit. (The paper's own numbers for products
    of experts come from code that weights the means by variances.)

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        prior_expert: multiply with N(0, I), Λ_0 = I; without, Λ_0 = 0 for S ≠ ∅.
        tempered: log-linear pooling (Remark 13): learned exponents a_s that depend on
            x_s and, the prior expert's included, sum to one over S, so that experts who
            repeat one another are not counted twice. Else every exponent is one.
            (Exponents free of each other would only rescale Λ_s.)
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        prior_expert: bool = True,
        tempered: bool = False,
        min_scale: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        self.experts = Experts(num_features, latent_dim, min_scale, rngs=rngs)
        self.score = nnx.Linear(num_features, 1, rngs=rngs) if tempered else None
        self.prior_expert = prior_expert

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities embedded"]:
        """[η_s, Λ_s] of every expert; where tempered, its score as well."""
        natural = self.experts(h)
        if self.score is None:
            return natural
        return jnp.concatenate([natural, self.score(h)], -1)

    def pool(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows parameters"]:
        """[Λ μ, Λ] of the product."""
        natural = only(embedded, subset)
        prior = jnp.where(subset.any(-1, keepdims=True), float(self.prior_expert), 1.0)
        if self.score is not None:
            exponents, prior = self._exponents(embedded[..., -1], subset)
            natural = natural[..., :-1] * exponents[..., None]
        eta, precision = jnp.split(natural.sum(-2), 2, -1)
        return jnp.concatenate([eta, prior + precision], -1)

    def _exponents(
        self,
        score: Float[Array, "rows modalities"],
        subset: Bool[Array, "rows modalities"],
    ) -> tuple[Float[Array, "rows modalities"], Float[Array, "rows 1"]]:
        """(a_s, a_0); the prior expert's score is zero."""
        lowest = jnp.finfo(score.dtype).min
        score = jnp.where(subset, score, lowest)
        empty = ~subset.any(-1, keepdims=True)
        counts = empty | self.prior_expert
        prior = jnp.where(counts, jnp.zeros_like(score[:, :1]), lowest)
        exponents = nnx.softmax(jnp.concatenate([score, prior], -1), -1)
        return exponents[:, :-1], exponents[:, -1:]

    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        return dist.Normal(*mean_scale(parameters)).to_event(1)


@final
class MixtureOfExperts(Aggregation):
    """(1/|S|) Σ_{s∈S} q_s(z | x_s) (Shi et al. 2019; Hirt et al. 2024, section 3.1).

    The empty subset gives the standard distribution of the experts' family.

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        head: of each expert, `NormalHead`, `NaturalHead` or `LaplaceHead`.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        check_head(head, LocationScaleHead)
        outputs = head.num_parameters(latent_dim)
        self.expert = dense(num_features, outputs, final_scale(head), rngs=rngs)
        self.expert_head = head

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities parameters"]:
        """Parameters of every expert."""
        return self.expert(h)

    def pool(
        self,
        embedded: Float[Array, "rows modalities parameters"],
        subset: Bool[Array, "rows modalities"],
    ) -> tuple[Array, Array, Array]:
        """Log-weights, means and scales of the mixture; absent experts have weight 0."""
        loc, scale = self.expert_head.loc_scale(only(embedded, subset))
        scale = jnp.where(subset[..., None], scale, 1.0)
        return uniform_over(subset, loc.dtype), loc, scale

    def distribution(self, parameters: tuple[Array, Array, Array]) -> dist.Distribution:
        return mixture(self.expert_head, *parameters)


def uniform_over(
    valid: Bool[Array, "rows components"], dtype: jnp.dtype
) -> Float[Array, "rows components"]:
    """Logits of the uniform law on the valid components; on all where none is."""
    valid = valid | ~valid.any(-1, keepdims=True)
    return jnp.where(valid, jnp.zeros((), dtype), jnp.finfo(dtype).min)
