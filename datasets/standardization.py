"""Scaling of modalities to zero mean and unit variance, and back again."""

import dataclasses
from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from consilience.datasets.pytree import pytree_dataclass


@pytree_dataclass()
@dataclasses.dataclass(frozen=True, eq=False)
class Standardization:
    """x ↦ (x − loc) / scale, per modality and feature.

    Attributes:
        loc: feature means by modality, each `[*event]`.
        scale: feature standard deviations by modality, each `[*event]`; 1 where a
            feature never varies.
    """

    loc: dict[str, Float[Array, "..."]]
    scale: dict[str, Float[Array, "..."]]

    @classmethod
    def fit(
        cls,
        values: Mapping[str, Float[Array, "rows ..."]],
        observed: Mapping[str, Bool[Array, "rows ..."]],
    ) -> "Standardization":
        """Measure mean and standard deviation over the observed entries of `values`."""
        moments = {name: _moments(x, observed[name]) for name, x in values.items()}
        return cls(
            {name: loc for name, (loc, _) in moments.items()},
            {name: scale for name, (_, scale) in moments.items()},
        )

    def apply(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Standardise arrays `[..., *event]` by modality; others pass unchanged."""
        return {
            name: (x - self.loc[name]) / self.scale[name] if name in self.loc else x
            for name, x in values.items()
        }

    def invert(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Bring arrays `[..., *event]` back to their first units."""
        return {
            name: x * self.scale[name] + self.loc[name] if name in self.loc else x
            for name, x in values.items()
        }

    def log_jacobian(
        self, name: str, observed: Bool[Array, "rows ..."]
    ) -> Float[Array, " rows"]:
        """log |∂(standardised)/∂(first units)| of each row of one modality.

        Add it to a log-density of standardised values to have that of the first ones.
        """
        if name not in self.scale:
            return jnp.zeros(observed.shape[0])
        terms = jnp.where(observed, -jnp.log(self.scale[name]), 0.0)
        return terms.reshape(observed.shape[0], -1).sum(-1)


def _moments(
    x: Float[Array, "rows ..."], observed: Bool[Array, "rows ..."]
) -> tuple[Float[Array, "..."], Float[Array, "..."]]:
    count = jnp.maximum(observed.sum(0), 1)
    loc = jnp.where(observed, x, 0.0).sum(0) / count
    variance = jnp.where(observed, (x - loc) ** 2, 0.0).sum(0) / count
    scale = jnp.sqrt(variance)
    # A constant column has a variance of rounding errors, not of exactly zero.
    constant = scale <= 8 * jnp.finfo(scale.dtype).eps * jnp.abs(loc)
    return jax.lax.stop_gradient((loc, jnp.where(constant, 1.0, scale)))
