"""Poisson and negative binomial distributions that hold the logarithm of their mean.

Written as their textbooks do, both lose all digits at large counts: log k! at k = 10⁶ is
10⁷, where float32 has a resolution of 1 nat. Loader (2000), "Fast and accurate computation
of binomial probabilities", takes log k! and its like apart: with φ(d) = eᵈ − 1 − d ≥ 0 and
the error of Stirling's formula δ,

    log Poisson(k; μ) = −k φ(log μ/k) − δ(k) − ½ log 2πk,

and likewise for the binomial that is in the negative binomial. All terms have the size of
the answer, and no exponential of a mean is needed for the negative binomial.

The Poisson distribution does need one. Above a log-mean of 60, far beyond any count, its
log-probability goes on along the tangent, k (η − 60) − e⁶⁰ (1 + η − 60) where it were
k η − e^η: a decoder that has gone astray gets a finite gradient that leads back, while
sums over entries stay far from where numbers end.
"""

import math
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpyro.distributions as dist
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from numpyro.distributions import constraints
from numpyro.distributions.util import promote_shapes, validate_sample

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)
SERIES_FROM, SHIFT = 10.0, 8
TANGENT_FROM = 60.0


def stirling_error(x: Float[Array, "..."]) -> Float[Array, "..."]:
    """δ(x) = log Γ(x + 1) − (x + ½) log x + x − ½ log 2π for x > 0.

    Stirling's series from 10 on. Below, Γ(x + 9) = Γ(x + 1) (x + 1) ⋯ (x + 8) leads there,
    which takes half the time of log Γ and its derivative.
    """
    small, large = jnp.minimum(x, SERIES_FROM), jnp.maximum(x, SERIES_FROM)
    shifted = small + SHIFT
    product = math.prod(small + i for i in range(1, SHIFT + 1))
    below = (small + 0.5) * jnp.log1p(SHIFT / small) - SHIFT
    below += jnp.log(shifted**SHIFT / product) + _stirling_series(shifted)
    return jnp.where(x < SERIES_FROM, below, _stirling_series(large))


def _stirling_series(x: Float[Array, "..."]) -> Float[Array, "..."]:
    y = 1 / x**2
    return (1 / 12 - y * (1 / 360 - y * (1 / 1260 - y * (1 / 1680 - y / 1188)))) / x


def deviance(x: Float[Array, "..."], d: Float[Array, "..."]) -> Float[Array, "..."]:
    """x φ(d) = x (eᵈ − 1 − d): half the deviance of x from a mean of x eᵈ."""
    return x * (jnp.expm1(d) - d)


def poisson_log_prob(
    count: Float[Array, "..."], log_rate: Float[Array, "..."]
) -> Float[Array, "..."]:
    """log p(k), k ≥ 0 whole, of a Poisson distribution with mean exp(log_rate).

    Linear in `log_rate` above 60: the tangent there, with slope k − e⁶⁰.
    """
    near = jnp.minimum(log_rate, TANGENT_FROM)
    beyond = jnp.maximum(log_rate - TANGENT_FROM, 0)
    k, rate = jnp.maximum(count, 1), jnp.exp(near)
    log_k = jnp.log(k)
    positive = -deviance(k, near - log_k) - stirling_error(k)
    positive -= HALF_LOG_2PI + 0.5 * log_k
    return jnp.where(count < 1, -rate, positive) + (count - rate) * beyond


def negative_binomial_log_prob(
    count: Float[Array, "..."],
    log_mean: Float[Array, "..."],
    concentration: Float[Array, "..."],
) -> Float[Array, "..."]:
    """log p(k), k ≥ 0 whole, with mean μ and variance μ + μ²/r, r the concentration.

    With n = k + r, p(k) is r/n times the binomial density of r successes among n, each
    of probability r/(r + μ) (generalised to r that are not whole). (r + μ)/n is taken
    from 1: with n large it is close, and r φ of its logarithm of the size of its square.
    """
    k, r = jnp.maximum(count, 1), concentration
    n, log_k, log_r = k + r, jnp.log(k), jnp.log(r)
    log_n = jnp.log(n)
    d = log_mean - log_k
    more = k / n * jnp.expm1(jnp.minimum(d, 1.0))  # (r + μ)/n − 1
    close = (jnp.abs(more) < 0.5) & (d < 1.0)
    near = jnp.log1p(jnp.where(close, more, 0.0))
    shift = -jnp.where(close, near, jnp.logaddexp(log_r, log_mean) - log_n)
    deviances = deviance(r, shift) + deviance(k, d + shift)
    errors = stirling_error(n) - stirling_error(k) - stirling_error(r)
    positive = errors - deviances - HALF_LOG_2PI + 0.5 * (log_r - log_k - log_n)
    return jnp.where(count < 1, -r * jax.nn.softplus(log_mean - log_r), positive)


class _Counts(dist.Distribution):
    support = constraints.nonnegative_integer

    @property
    def mean(self) -> Array:
        return jnp.exp(self.log_mean)

    def _draw(self, key, log_rate: Array, shape: tuple[int, ...]) -> Array:
        """Poisson counts; rates beyond what integers hold are drawn at half of that."""
        most = math.log(jnp.iinfo(jnp.result_type(int)).max / 2)
        return jax.random.poisson(key, jnp.exp(jnp.minimum(log_rate, most)), shape)


class LogPoisson(_Counts):
    """Poisson distribution with mean exp(log_mean)."""

    arg_constraints: ClassVar = {"log_mean": constraints.real}

    def __init__(self, log_mean: ArrayLike, *, validate_args: bool | None = None):
        self.log_mean = jnp.asarray(log_mean, jnp.result_type(float))
        super().__init__(jnp.shape(log_mean), validate_args=validate_args)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        return self._draw(key, self.log_mean, sample_shape + self.batch_shape)

    @validate_sample
    def log_prob(self, value: ArrayLike) -> Array:
        return poisson_log_prob(jnp.asarray(value, self.log_mean.dtype), self.log_mean)

    @property
    def variance(self) -> Array:
        return self.mean


class LogNegativeBinomial(_Counts):
    """Negative binomial with mean μ = exp(log_mean) and variance μ + μ²/concentration."""

    arg_constraints: ClassVar = {
        "log_mean": constraints.real,
        "concentration": constraints.positive,
    }

    def __init__(
        self,
        log_mean: ArrayLike,
        concentration: ArrayLike,
        *,
        validate_args: bool | None = None,
    ):
        dtype = jnp.result_type(float)
        both = [jnp.asarray(a, dtype) for a in (log_mean, concentration)]
        self.log_mean, self.concentration = promote_shapes(*both)
        shape = jnp.broadcast_shapes(*(jnp.shape(a) for a in both))
        super().__init__(shape, validate_args=validate_args)

    def sample(self, key: Array, sample_shape: tuple[int, ...] = ()) -> Array:
        key_gamma, key_poisson = jax.random.split(key)
        shape = sample_shape + self.batch_shape
        log_gamma = jax.random.loggamma(key_gamma, self.concentration, shape)
        log_rate = self.log_mean + log_gamma - jnp.log(self.concentration)
        return self._draw(key_poisson, log_rate, shape)

    @validate_sample
    def log_prob(self, value: ArrayLike) -> Array:
        count = jnp.asarray(value, self.log_mean.dtype)
        return negative_binomial_log_prob(count, self.log_mean, self.concentration)

    @property
    def variance(self) -> Array:
        return self.mean + self.mean**2 / self.concentration
