"""Likelihoods of real numbers: x = eta + scale · noise, the noise of some family.

How the scale is found (fixed; learned, one for each feature) stands in two small base
classes, which families with `_family(location, scale)` share.
"""

import dataclasses
import math

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jax import nn
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from consilience.models.covariates import Covariates
from consilience.models.student_t import StudentT
from consilience.nn.sizes import check_numbers, check_within


class _FixedScale:
    def __post_init__(self):
        check_within("scale", self.scale, 0, math.inf, several=True)

    def __call__(
        self, eta: Float[Array, "*event"], covariates: Covariates
    ) -> dist.Distribution:
        return self._family(eta, jnp.asarray(self.scale, eta.dtype))


class _LearnedScale:
    def __post_init__(self):
        check_numbers(min_scale=self.min_scale, initial_scale=self.initial_scale)
        if not self.min_scale < self.initial_scale:
            raise ValueError(
                "expected 0 < min_scale < initial_scale, got "
                f"min_scale={self.min_scale!r}, initial_scale={self.initial_scale!r}"
            )

    def __call__(
        self, eta: Float[Array, "rows ..."], covariates: Covariates
    ) -> dist.Distribution:
        start = jnp.full(eta.shape[1:], self.initial_scale, eta.dtype)
        above = constraints.greater_than(self.min_scale)
        return self._family(eta, numpyro.param("scale", start, constraint=above))


@dataclasses.dataclass(frozen=True)
class NormalLikelihood(_FixedScale):
    """x ~ N(eta, scale²) with a fixed standard deviation.

    Attributes:
        scale: standard deviation, one number or one per feature as nested tuples.
    """

    scale: float | tuple = 1.0
    _family = staticmethod(dist.Normal)


@dataclasses.dataclass(frozen=True)
class LearnedNormalLikelihood(_LearnedScale):
    """x ~ N(eta, scale²) with one learned standard deviation per feature.

    Attributes:
        initial_scale: where the standard deviations start.
        min_scale: their lower bound; without one the density of a feature that never
            varies has no maximum.
    """

    initial_scale: float = 1.0
    min_scale: float = 1e-3
    _family = staticmethod(dist.Normal)


@dataclasses.dataclass(frozen=True)
class LaplaceLikelihood(_FixedScale):
    """x ~ Laplace(eta, scale), density exp(−|x − eta| / scale) / (2 scale).

    eta is the median, and an entry far off costs less than under a normal.

    Attributes:
        scale: mean absolute deviation (the standard deviation is √2 times it), one
            number or one per feature as nested tuples.
    """

    scale: float | tuple = 1.0
    _family = staticmethod(dist.Laplace)


@dataclasses.dataclass(frozen=True)
class LearnedLaplaceLikelihood(_LearnedScale):
    """x ~ Laplace(eta, scale) with one learned scale per feature.

    The likelihood of images in Hirt et al. 2024, section 5.3.

    Attributes:
        initial_scale: where the scales (mean absolute deviations) start.
        min_scale: their lower bound, for features that never vary.
    """

    initial_scale: float = 1.0
    min_scale: float = 1e-3
    _family = staticmethod(dist.Laplace)


@dataclasses.dataclass(frozen=True)
class StudentTLikelihood(_LearnedScale):
    """x ~ eta + scale · t(df) with one learned scale per feature, for outliers.

    Attributes:
        df: degrees of freedom, fixed. The fewer, the heavier the tails: 1 is Cauchy's
            distribution, ∞ would be the normal. With 1 or fewer there is no mean, and
            `generate(..., mean=True)` does not give finite numbers.
        initial_scale: where the scales start (the standard deviation is √(df/(df − 2))
            times it).
        min_scale: their lower bound, for features that never vary.
    """

    df: float = 4.0
    initial_scale: float = 1.0
    min_scale: float = 1e-3

    def __post_init__(self):
        super().__post_init__()
        check_numbers(df=self.df)

    def _family(self, location: Array, scale: Array) -> dist.Distribution:
        return StudentT(jnp.asarray(self.df, location.dtype), location, scale)


@dataclasses.dataclass(frozen=True)
class HeteroscedasticNormalLikelihood:
    """x ~ N(eta₀, scale²), scale = min_scale + softplus(eta₁): the decoder gives both.

    Attributes:
        min_scale: lower bound of the standard deviation.
    """

    min_scale: float = 1e-3

    def __post_init__(self):
        check_numbers(min_scale=self.min_scale)

    def num_outputs(self, event_shape: tuple[int, ...]) -> int:
        """Mean and raw standard deviation."""
        return 2

    def __call__(
        self, eta: Float[Array, "*event 2"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Normal(eta[..., 0], self.min_scale + nn.softplus(eta[..., 1]))
