"""Scaling of modalities to zero mean and unit variance, and back again."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from consilience.datasets.pytree import pytree_dataclass


@pytree_dataclass(static=("log",))
@dataclasses.dataclass(frozen=True, eq=False)
class Standardization:
    """x ↦ (g(x) − loc) / scale, per modality and feature; g(x) is x or log(1 + x).

    Attributes:
        loc: means of g(x) by modality, each `[*event]`.
        scale: standard deviations of g(x) by modality, each `[*event]`; 1 where a
            feature never varies.
        log: the modalities with g(x) = log(1 + x).
    """

    loc: dict[str, Float[Array, "..."]]
    scale: dict[str, Float[Array, "..."]]
    log: tuple[str, ...] = ()

    @classmethod
    def fit(
        cls,
        values: Mapping[str, Shaped[Array, "rows ..."]],
        observed: Mapping[str, Bool[Array, "rows ..."]],
        log: Sequence[str] = (),
    ) -> "Standardization":
        """Measure mean and standard deviation of g(x) over the observed `values`."""
        moments = {
            name: _moments(jnp.log1p(x) if name in log else x, observed[name])
            for name, x in values.items()
        }
        return cls(
            {name: loc for name, (loc, _) in moments.items()},
            {name: scale for name, (_, scale) in moments.items()},
            tuple(log),
        )

    def apply(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Standardise arrays `[..., *event]` by modality; others pass unchanged."""
        return {
            name: self._apply(name, x) if name in self.loc else x
            for name, x in values.items()
        }

    def invert(self, values: Mapping[str, Array]) -> dict[str, Array]:
        """Bring arrays `[..., *event]` back to their first units."""
        return {
            name: self._invert(name, x) if name in self.loc else x
            for name, x in values.items()
        }

    def log_derivative(
        self, name: str, values: Shaped[Array, "..."]
    ) -> Float[Array, "..."]:
        """log ∂y/∂x of each entry at standardised values y `[..., *event]`.

        y = (g(x) − loc) / scale has ∂y/∂x = g′(x) / scale, and for g(x) = log(1 + x)
        log g′(x) = −g(x) = −(y · scale + loc).
        """
        if name not in self.scale:
            return jnp.zeros(jnp.shape(values))
        term = -jnp.log(self.scale[name])
        if name in self.log:
            term = term - (values * self.scale[name] + self.loc[name])
        return jnp.broadcast_to(term, jnp.shape(values))

    def log_jacobian(
        self,
        name: str,
        values: Shaped[Array, "rows ..."],
        observed: Bool[Array, "rows ..."],
    ) -> Float[Array, " rows"]:
        """log |∂(standardised)/∂(first units)| of each row at its standardised values.

        Add it to a log-density of standardised values to have that of the first ones.
        """
        terms = jnp.where(observed, self.log_derivative(name, values), 0.0)
        return terms.reshape(observed.shape[0], -1).sum(-1)

    def _apply(self, name: str, x: Array) -> Array:
        g = jnp.log1p(x) if name in self.log else x
        return (g - self.loc[name]) / self.scale[name]

    def _invert(self, name: str, y: Array) -> Array:
        g = y * self.scale[name] + self.loc[name]
        return jnp.expm1(g) if name in self.log else g


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
