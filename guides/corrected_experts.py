"""A product of experts with a learned correction."""

from collections.abc import Callable
from typing import final

import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree

from consilience.guides.experts import ProductOfExperts, mean_scale
from consilience.guides.roles import Aggregation
from consilience.guides.sum_pooling import SumPooling


@final
class CorrectedProductOfExperts(Aggregation):
    """A product of experts that any set network may correct.

        μ = μ_PoE + σ_PoE · g_μ c_μ(S),    log σ = log σ_PoE + g_σ c_σ(S)

    PoE's are the natural parameters of prior and experts, added up; [c_μ, c_σ] is what
    `correction` pools from the same features, and the gates g start at zero. So it *is*
    the product of experts at the first step and can become any posterior that the
    correction can. The precision stays positive whatever the correction is, and the
    empty subset is N(0, I), to the last bit. (Not in the paper.)

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        correction: constructor of the set network, `SumPooling` or `SelfAttention`.
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        correction: Callable[..., Aggregation] = SumPooling,
        min_scale: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        sizes = (num_features, latent_dim)
        self.experts = ProductOfExperts(*sizes, min_scale=min_scale, rngs=rngs)
        self.correction = correction(*sizes, rngs=rngs)
        self.gate = nnx.Param(jnp.zeros(2 * latent_dim))

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> dict[str, PyTree[Float[Array, "rows modalities ..."]]]:
        """What the experts and the correction embed."""
        return {
            "experts": self.experts.embed(h),
            "correction": self.correction.embed(h),
        }

    def pool(
        self,
        embedded: dict[str, PyTree[Float[Array, "rows modalities ..."]]],
        subset: Bool[Array, "rows modalities"],
    ) -> tuple[Float[Array, "rows latent"], Float[Array, "rows latent"]]:
        """Mean and standard deviation."""
        mean, scale = mean_scale(self.experts.pool(embedded["experts"], subset))
        correction = self.correction.pool(embedded["correction"], subset)
        correction = jnp.where(
            subset.any(-1, keepdims=True), self.gate[...] * correction, 0.0
        )
        shift, log_factor = jnp.split(correction, 2, -1)
        return mean + scale * shift, scale * jnp.exp(log_factor)

    def distribution(
        self,
        parameters: tuple[Float[Array, "rows latent"], Float[Array, "rows latent"]],
    ) -> dist.Distribution:
        return dist.Normal(*parameters).to_event(1)
