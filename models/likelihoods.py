"""p(x_s | z) of one modality, from what its decoder gives.

A likelihood is called with the decoder's output `eta` and the data's covariates, and
returns a NumPyro distribution over the measurement, entry by entry. `eta` has the
measurement's shape `[N, *event]`, with one more axis at the end where `num_outputs(...)`
asks for several numbers an entry. Anything called likewise may stand in its place, a
function without `num_outputs` too: it gets one number an entry. Parameters that it
declares with `numpyro.param` are prefixed with the name of the modality.
"""

import dataclasses
from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
from jax import nn
from jaxtyping import Array, Float
from numpyro.distributions import constraints

Covariates = Mapping[str, Array]
Likelihood = Callable[[Array, Covariates], dist.Distribution]


def num_outputs(likelihood: Likelihood, event_shape: tuple[int, ...]) -> int | None:
    """Numbers an entry that a decoder must give; None: one, with no axis of its own."""
    ask = getattr(likelihood, "num_outputs", None)
    return None if ask is None else ask(event_shape)


@dataclasses.dataclass(frozen=True)
class NormalLikelihood:
    """x ~ N(eta, scale²) with a fixed standard deviation.

    Attributes:
        scale: standard deviation, one number or one per feature as nested tuples.
    """

    scale: float | tuple = 1.0

    def __post_init__(self):
        if not np.all(np.asarray(self.scale) > 0):
            raise ValueError(f"scale: expected positive numbers, got {self.scale!r}")

    def __call__(
        self, eta: Float[Array, "*event"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Normal(eta, jnp.asarray(self.scale, eta.dtype))


@dataclasses.dataclass(frozen=True)
class LearnedNormalLikelihood:
    """x ~ N(eta, scale²) with one learned standard deviation per feature.

    Attributes:
        initial_scale: where the standard deviations start.
        min_scale: their lower bound; without one the density of a feature that never
            varies has no maximum.
    """

    initial_scale: float = 1.0
    min_scale: float = 1e-3

    def __post_init__(self):
        if not 0 < self.min_scale < self.initial_scale:
            raise ValueError(
                "expected 0 < min_scale < initial_scale, got "
                f"min_scale={self.min_scale!r}, initial_scale={self.initial_scale!r}"
            )

    def __call__(
        self, eta: Float[Array, "rows ..."], covariates: Covariates
    ) -> dist.Distribution:
        start = jnp.full(eta.shape[1:], self.initial_scale, eta.dtype)
        above = constraints.greater_than(self.min_scale)
        scale = numpyro.param("scale", start, constraint=above)
        return dist.Normal(eta, scale)


@dataclasses.dataclass(frozen=True)
class HeteroscedasticNormalLikelihood:
    """x ~ N(eta₀, scale²), scale = min_scale + softplus(eta₁): the decoder gives both.

    Attributes:
        min_scale: lower bound of the standard deviation.
    """

    min_scale: float = 1e-3

    def __post_init__(self):
        if not self.min_scale > 0:
            raise ValueError(
                f"min_scale: expected a positive number, got {self.min_scale}"
            )

    def num_outputs(self, event_shape: tuple[int, ...]) -> int:
        """Mean and raw standard deviation."""
        return 2

    def __call__(
        self, eta: Float[Array, "*event 2"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Normal(eta[..., 0], self.min_scale + nn.softplus(eta[..., 1]))


@dataclasses.dataclass(frozen=True)
class BernoulliLikelihood:
    """x ~ Bernoulli(sigmoid(eta)), x ∈ {0, 1}."""

    def __call__(
        self, eta: Float[Array, "*event"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Bernoulli(logits=eta)


@dataclasses.dataclass(frozen=True)
class CategoricalLikelihood:
    """x ~ Categorical(softmax(eta)), x an index in 0..num_classes − 1.

    Encode such indices with `functools.partial(MLPEncoder, num_classes=...)`, one-hot; an
    encoder without it reads them as numbers.

    Attributes:
        num_classes: number of categories.
    """

    num_classes: int

    def __post_init__(self):
        if self.num_classes < 2:
            raise ValueError(f"num_classes: expected 2 or more, got {self.num_classes}")

    def num_outputs(self, event_shape: tuple[int, ...]) -> int:
        """One logit a category."""
        return self.num_classes

    def __call__(
        self, eta: Float[Array, "*event classes"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Categorical(logits=eta)


@dataclasses.dataclass(frozen=True)
class OneHotLikelihood:
    """x ~ one-hot Categorical(softmax(eta)) over the last axis of the measurement."""

    def __call__(
        self, eta: Float[Array, "*event classes"], covariates: Covariates
    ) -> dist.Distribution:
        return dist.Multinomial(total_count=1, logits=eta)


LIKELIHOODS: dict[str, Callable[..., Likelihood]] = {
    "normal": NormalLikelihood,
    "learned_normal": LearnedNormalLikelihood,
    "heteroscedastic_normal": HeteroscedasticNormalLikelihood,
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
    "one_hot": OneHotLikelihood,
}
