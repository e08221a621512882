"""A product of experts under a Gaussian mixture prior."""

from collections.abc import Callable
from typing import final

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.guides.experts import Experts
from consilience.guides.heads import NormalHead, mixture
from consilience.guides.roles import Aggregation, sum_over


@final
class MixturePriorProductOfExperts(Aggregation):
    """Σ_c π_c N(z; μ_c, diag σ_c²) Π_{s∈S} q_s(z), normalised: a mixture again.

        Λ_c = σ_c⁻² + Σ_s Λ_s,    Λ_c m_c = σ_c⁻² μ_c + Σ_s η_s
        log π_c(S) = log π_c + ½ Σ_d [Λ_c m_c² − σ_c⁻² μ_c² − log(Λ_c σ_c²)] + const

    The empty subset gives the prior. Take the model's own prior: both then share its
    parameters, as in

        prior = cs.gaussian_mixture(latent_dim, 5)
        aggregation = functools.partial(cs.MixturePriorProductOfExperts, prior=prior)

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        prior: function without arguments that returns a mixture of Normals, such as
            `gaussian_mixture(D, K)`.
        min_scale: floor of each expert's standard deviation.
        rngs: random streams of the parameters.

    Raises:
        TypeError: at the first call, the prior is no mixture of independent Normals.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        prior: Callable[[], dist.Distribution],
        min_scale: float = 1e-3,
        rngs: nnx.Rngs,
    ):
        self.experts = Experts(num_features, latent_dim, min_scale, rngs=rngs)
        self.prior = prior

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities parameters"]:
        """[η_s, Λ_s] of every expert."""
        return self.experts(h)

    def pool(
        self,
        embedded: Float[Array, "rows modalities parameters"],
        subset: Bool[Array, "rows modalities"],
    ) -> tuple[Array, Array, Array]:
        """Log-weights, means and scales of the components."""
        log_weights, loc, scale = _components(self.prior())
        eta, precision = jnp.split(sum_over(embedded, subset)[:, None], 2, -1)
        total = scale**-2 + precision
        mean = (scale**-2 * loc + eta) / total
        log_mass = total * mean**2 - scale**-2 * loc**2 - jnp.log(total * scale**2)
        return log_weights + 0.5 * log_mass.sum(-1), mean, jax.lax.rsqrt(total)

    def distribution(self, parameters: tuple[Array, Array, Array]) -> dist.Distribution:
        return mixture(NormalHead(), *parameters)


def _components(prior: dist.Distribution) -> tuple[Array, Array, Array]:
    parts = getattr(prior, "component_distribution", None)
    normal = getattr(parts, "base_dist", None)
    if not isinstance(prior, dist.MixtureSameFamily) or not isinstance(
        normal, dist.Normal
    ):
        raise TypeError(
            "prior: expected a mixture of independent Normals, such as "
            f"gaussian_mixture(...), got {type(prior).__name__} of {type(parts).__name__}"
        )
    log_weights = jax.nn.log_softmax(prior.mixing_distribution.logits)
    return log_weights, normal.loc, normal.scale
