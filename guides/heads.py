"""From a vector of numbers to a distribution over the latent."""

import dataclasses

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float


@dataclasses.dataclass(frozen=True)
class NormalHead:
    """Normal with independent dimensions: ϑ → N(μ, diag σ²), σ = min_scale + exp(log σ).

    Attributes:
        min_scale: floor of the standard deviation (1e-3 in the paper); it keeps
            densities finite.
    """

    min_scale: float = 1e-3

    def __post_init__(self):
        if not self.min_scale > 0:
            raise ValueError(
                f"min_scale: expected a positive number, got {self.min_scale}"
            )

    def num_parameters(self, latent_dim: int) -> int:
        """Numbers that the aggregation must give: mean and log-scale."""
        return 2 * latent_dim

    def __call__(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        loc, log_scale = jnp.split(parameters, 2, -1)
        return dist.Normal(loc, self.min_scale + jnp.exp(log_scale)).to_event(1)


HEADS = {"normal": NormalHead}
