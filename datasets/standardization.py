"""Scaling of modalities to zero mean and unit variance, and back again."""

import dataclasses
from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped

from consilience.datasets.pytree import pytree_dataclass


@pytree_dataclass(static=("log",))
@dataclasses.dataclass(frozen=True, eq=False)
class Standardization:
    """x ↦ (g(x) − loc) / scale, per modality and feature; g(x) is x or log(1 + x).

    Attributes:
        loc: means of g(x) by modality, each `[*event]`; float64 on the host, so that
            what is far from zero is centred to all digits.
        scale: standard deviations of g(x) by modality, each `[*event]`, likewise; 1 where
            a feature never varies.
        log: the modalities with g(x) = log(1 + x).
    """

    loc: dict[str, Float[Array | np.ndarray, "..."]]
    scale: dict[str, Float[Array | np.ndarray, "..."]]
    log: tuple[str, ...] = ()

    def apply(self, values: Mapping[str, Array | np.ndarray]) -> dict[str, Array]:
        """Standardise arrays `[..., *event]` by modality; others pass unchanged.

        Arrays of NumPy are scaled in float64 and cast then.
        """
        return {
            name: self._apply(name, x) if name in self.loc else x
            for name, x in values.items()
        }

    def scaled(
        self,
        name: str,
        x: Shaped[np.ndarray, "rows ..."],
        observed: Bool[np.ndarray, "rows ..."],
    ) -> Shaped[np.ndarray, "rows ..."]:
        """`apply` of one modality on the host, in float64 until it is cast.

        Zero where nothing was observed. What it takes apart, such as 10⁸ + 1 and
        10⁸ + 2, is not rounded before.

        Raises:
            ValueError: a standardised value is too large for the float of programs.
        """
        if name not in self.loc:
            return x
        kind = jnp.result_type(float)
        g = np.where(observed, x, np.zeros((), x.dtype)).astype(np.float64)
        g = np.log1p(g) if name in self.log else g
        loc, scale = (np.asarray(m[name], np.float64) for m in (self.loc, self.scale))
        with np.errstate(over="ignore"):
            y = ((g - loc) / scale).astype(kind)
        if not np.isfinite(y).all() and (bad := observed & ~np.isfinite(y)).any():
            n, *column = (int(i) for i in np.argwhere(bad)[0])
            place = column[0] if len(column) == 1 else tuple(column)
            raise ValueError(
                f"standardize: modality {name!r}, column {place}: expected values that "
                f"fit {kind} when scaled, got {x[n, *column]:.3g} beside a standard "
                f"deviation of {scale[*column]:.3g} in the training rows; look for another "
                "unit, or make it missing"
            )
        return np.where(observed, y, np.zeros((), kind))

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

    def _apply(self, name: str, x: Array | np.ndarray) -> Array:
        if isinstance(x, np.ndarray):  # all digits that it has; NaN stays NaN
            known = ~np.isnan(x)
            return jnp.asarray(np.where(known, self.scaled(name, x, known), np.nan))
        g = jnp.log1p(x) if name in self.log else jnp.asarray(x)
        return (g - self.loc[name]) / self.scale[name]

    def _invert(self, name: str, y: Array) -> Array:
        g = jnp.asarray(y) * self.scale[name] + self.loc[name]
        return jnp.expm1(g) if name in self.log else g
