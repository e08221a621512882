"""Pareto k̂: how heavy the tail of importance weights is."""

import math

import jax.numpy as jnp
import numpy as np
from jax import nn
from jaxtyping import Array, ArrayLike, Float

MOST = 0.7


def threshold(num_samples: ArrayLike | None = None) -> Float[np.ndarray, "..."]:
    """Up to which k̂ of K samples an estimate is reliable: min(1 − 1/log₁₀ K, 0.7).

    .5 at K = 100, .67 at 1000, .7 from 2200 on (Vehtari et al. 2024). Above, K is too small
    for a tail like that: errors may be far larger than the standard error says.

    Args:
        num_samples: K; None where it is not known, for 0.7.
    """
    if num_samples is None:
        return np.asarray(MOST)
    return np.asarray(np.minimum(1 - 1 / np.log10(np.maximum(num_samples, 2.0)), MOST))


def tail_size(num_samples: int) -> int:
    """Largest weights that the tail is made of: min(K/5, 3√K), rounded down."""
    return math.floor(min(num_samples / 5, 3 * math.sqrt(num_samples)))


def pareto_k(
    largest: Float[Array, "tail_and_one ..."], num_samples: int
) -> Float[Array, "..."]:
    """Shape k̂ of the generalised Pareto law of the largest weights, per row.

    By the posterior mean of Zhang & Stephens (2009) with a weak prior towards ½, in
    agreement with ArviZ's `psislw`. What it should not exceed: `threshold`.

    Args:
        largest: the `tail_size(num_samples) + 1` largest log weights, in any order.
        num_samples: K, of which they are the largest.

    Returns:
        k̂; −inf where the weights are constant to rounding (a perfect guide), +inf where
        the tail is no Pareto tail at all, NaN where K < 30 leaves too small a tail.
    """
    n = tail_size(num_samples)
    if n < 6:  # of five, the quartile is the smallest
        return jnp.full(largest.shape[1:], jnp.nan)
    ordered = jnp.sort(largest, 0)
    spread = ordered[-1] - ordered[0]
    relative = jnp.exp(ordered - ordered[-1])
    k = _generalized_pareto_shape(relative[1:] - relative[0])
    constant = spread <= 16 * jnp.finfo(largest.dtype).eps * (1 + jnp.abs(ordered[-1]))
    return jnp.where(constant, -jnp.inf, jnp.where(jnp.isfinite(k), k, jnp.inf))


def _generalized_pareto_shape(x: Float[Array, "tail ..."]) -> Float[Array, "..."]:
    """Zhang & Stephens' estimate from exceedances x in ascending order."""
    n = len(x)
    grid = jnp.arange(1, 31 + math.isqrt(n), dtype=x.dtype)
    quartile = x[int(n / 4 + 0.5) - 1]
    column = (slice(None), *(None,) * (x.ndim - 1))
    # b_j = 1/x_max + (1 − √(m / (j − ½))) / (3 x_quartile)
    b = (1 - jnp.sqrt(len(grid) / (grid - 0.5)))[column] / (3 * quartile) + 1 / x[-1]
    k = jnp.log1p(-b[:, None] * x).mean(1)
    profile = n * (jnp.log(-b / k) - k - 1)
    weight = nn.softmax(profile, axis=0)
    kappa = jnp.log1p(-(weight * b).sum(0) * x).mean(0)
    shrunk = (n * kappa + 10 * 0.5) / (n + 10)
    return jnp.where(quartile > x[0], shrunk, jnp.nan)
