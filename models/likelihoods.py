"""p(x_s | z) of one modality, from what its decoder gives.

A likelihood is called with the decoder's output `eta` and the data's covariates, and
returns a NumPyro distribution over the measurement, entry by entry. `eta` has the
measurement's shape `[N, *event]`, with one more axis at the end where `num_outputs(...)`
asks for several numbers an entry. Anything called likewise may stand in its place, a
function without `num_outputs` too: it gets one number an entry. Parameters that it
declares with `numpyro.param` are prefixed with the name of the modality.

Here are those of categories; those of real numbers are in `location_scale.py`, those of
counts in `counts.py`.
"""

import dataclasses
from collections.abc import Callable

import numpyro.distributions as dist
from jaxtyping import Array, Float

from consilience.models.counts import (
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from consilience.models.covariates import Covariates
from consilience.models.location_scale import (
    HeteroscedasticNormalLikelihood,
    LaplaceLikelihood,
    LearnedLaplaceLikelihood,
    LearnedNormalLikelihood,
    NormalLikelihood,
    StudentTLikelihood,
)
from consilience.nn.sizes import check_positive

Likelihood = Callable[[Array, Covariates], dist.Distribution]


def num_outputs(likelihood: Likelihood, event_shape: tuple[int, ...]) -> int | None:
    """Numbers an entry that a decoder must give; None: one, with no axis of its own."""
    ask = getattr(likelihood, "num_outputs", None)
    return None if ask is None else ask(event_shape)


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

    Encode such indices with `functools.partial(MLPEncoder, num_classes=...)`, one-hot, or
    another encoder that takes `num_classes`; one without it reads them as numbers.

    Attributes:
        num_classes: number of categories.
    """

    num_classes: int

    def __post_init__(self):
        check_positive(num_classes=self.num_classes)
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
    "laplace": LaplaceLikelihood,
    "learned_laplace": LearnedLaplaceLikelihood,
    "student_t": StudentTLikelihood,
    "bernoulli": BernoulliLikelihood,
    "categorical": CategoricalLikelihood,
    "one_hot": OneHotLikelihood,
    "poisson": PoissonLikelihood,
    "negative_binomial": NegativeBinomialLikelihood,
    "zero_inflated_negative_binomial": ZeroInflatedNegativeBinomialLikelihood,
}
