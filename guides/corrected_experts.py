"""A product of experts with a learned correction."""

from collections.abc import Callable
from typing import final

import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree

from consilience.guides.experts import ProductOfExperts, mean_scale
from consilience.guides.heads import CALM, NormalHead
from consilience.guides.roles import Aggregation
from consilience.guides.sum_pooling import SumPooling

LARGEST = 5.0  # of a correction of log σ


@final
class CorrectedProductOfExperts(Aggregation):
    """A product of experts that any set network may correct.

        μ = μ_PoE + σ_PoE g_μ c_μ(S),    log σ = log σ_PoE + 5 tanh(g_σ c_σ(S) / 5)

    PoE's are the natural parameters of prior and experts, added up; [c_μ, c_σ] is what
    `correction` pools from the same features and the gates g start at zero. So it *is*
    the product of experts at the first step, to the last bit, and can become any Normal
    whose scale is within a factor of 148 of the product's. The precision stays positive
    and finite whatever the correction is, and the empty subset is N(0, I). (Not in the
    paper.)

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        correction: constructor of the set network, `SumPooling` or `SelfAttention`.
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.

    Raises:
        TypeError: `correction` does not give means and log-scales of a Normal.
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
        if not isinstance(getattr(self.correction, "head", None), NormalHead):
            raise TypeError(
                "correction: expected a constructor such as SumPooling or SelfAttention "
                f"with a NormalHead, got {type(self.correction).__name__}"
            )
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
        correction = correction / CALM * self.gate[...]
        correction = jnp.where(subset.any(-1, keepdims=True), correction, 0.0)
        shift, log_factor = jnp.split(correction, 2, -1)
        log_factor = LARGEST * jnp.tanh(log_factor / LARGEST)
        return mean + scale * shift, scale * jnp.exp(log_factor)

    def attention_weights(
        self,
        embedded: dict[str, PyTree[Float[Array, "rows modalities ..."]]],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows layers heads modalities modalities"] | None:
        """Those of the correction."""
        return self.correction.attention_weights(embedded["correction"], subset)

    def distribution(
        self,
        parameters: tuple[Float[Array, "rows latent"], Float[Array, "rows latent"]],
    ) -> dist.Distribution:
        return dist.Normal(*parameters).to_event(1)
