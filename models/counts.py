"""Likelihoods of counts, 0, 1, 2, …: reads of genes, tags of proteins, words of a text.

Counts stay counts: a fit refuses standardised ones. Encoders take their logarithm,
`functools.partial(MLPEncoder, log1p=True)`.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions import constraints

from consilience.models.count_distributions import LogNegativeBinomial, LogPoisson
from consilience.models.covariates import Covariates, offset
from consilience.nn.sizes import check_numbers


class _CountLikelihood:
    def _log_mean(
        self, eta: Float[Array, "rows ..."], covariates: Covariates
    ) -> Float[Array, "rows ..."]:
        if self.log_library is None:
            return eta
        rows = len(eta)
        size = offset(covariates, "log_library", self.log_library, rows)
        if self.proportions:
            eta = jax.nn.log_softmax(eta, tuple(range(1, eta.ndim)))
        return eta + size.reshape(rows, *(1,) * (eta.ndim - 1)).astype(eta.dtype)


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoissonLikelihood(_CountLikelihood):
    """x ~ Poisson(μ), counts without more noise than that of counting.

    The mean is μ = exp(eta) without a library. With one it is library · softmax(eta)
    over all entries of a row, as in scVI (Lopez et al. 2018): eta says in which
    proportions a row's total is shared out.

    Attributes:
        log_library: name of the covariate `[N]` that holds the logarithm of each row's
            total count, over the features that are modelled.
        proportions: False for μ = exp(log_library + eta), where the covariate is no total
            of these very features: a size factor, an exposure.

    Raises:
        ValueError: when called, the data have no such covariate, or none of shape [N].
    """

    log_library: str | None = None
    proportions: bool = True

    def __call__(
        self, eta: Float[Array, "rows ..."], covariates: Covariates
    ) -> dist.Distribution:
        return LogPoisson(self._log_mean(eta, covariates))


@dataclasses.dataclass(frozen=True, kw_only=True)
class NegativeBinomialLikelihood(_CountLikelihood):
    """x ~ NegativeBinomial with mean μ and variance μ + μ²/r, r learned per feature.

    r, the concentration, is the inverse dispersion of omics: the smaller, the noisier;
    ∞ gives the Poisson distribution. The parameter is called `f"{modality}.concentration"`.

    Attributes:
        initial_concentration: where r starts.
        log_library: see `PoissonLikelihood`, for the mean μ too.
        proportions: see `PoissonLikelihood`.
    """

    initial_concentration: float = 1.0
    log_library: str | None = None
    proportions: bool = True

    def __post_init__(self):
        check_numbers(initial_concentration=self.initial_concentration)

    def __call__(
        self, eta: Float[Array, "rows ..."], covariates: Covariates
    ) -> dist.Distribution:
        start = jnp.full(eta.shape[1:], self.initial_concentration, eta.dtype)
        concentration = numpyro.param(
            "concentration", start, constraint=constraints.positive
        )
        return LogNegativeBinomial(self._log_mean(eta, covariates), concentration)


class ZeroInflatedNegativeBinomialLikelihood(NegativeBinomialLikelihood):
    """0 with probability sigmoid(eta₁), else a negative binomial count of mean μ(eta₀).

    For counts that are sometimes not taken at all (drop-out). The decoder gives both
    numbers for each entry. Attributes: see `NegativeBinomialLikelihood`, whose mean μ is
    that of the counts that are taken.
    """

    def num_outputs(self, event_shape: tuple[int, ...]) -> int:
        """Log-mean, and logit of a zero that is no count."""
        return 2

    def __call__(
        self, eta: Float[Array, "rows ... 2"], covariates: Covariates
    ) -> dist.Distribution:
        counts = super().__call__(eta[..., 0], covariates)
        return dist.ZeroInflatedDistribution(counts, gate_logits=eta[..., 1])
