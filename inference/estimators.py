"""How the KL (rate) terms of a bound are estimated from one draw of the guide.

An estimator is asked site by site for KL(q ‖ p) given a reparameterised draw of q: `live`
is q as it is, `stopped` is q with its variational parameters under stop-gradient.

Where the guide's first site is a mixture, `stratified` says how it is drawn: once from each
component, weighted (Morningstar et al. 2021), or once from the mixture, which must then be
a `ReparameterizedMixture` (implicit reparameterisation, Figurnov et al. 2018). The first is
the default: the implicit gradient's noise explodes as components separate.
"""

import dataclasses
from functools import partial
from typing import Protocol, runtime_checkable

import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions.kl import kl_divergence

from consilience.inference.programs import name_of


@runtime_checkable
class Estimator(Protocol):
    """The role of an estimator.

    Attributes:
        stratified: draw a mixture once from each component; True where it is missing.
    """

    def kl(
        self,
        site: str,
        live: dist.Distribution,
        stopped: dist.Distribution,
        other: dist.Distribution,
        value: Array,
    ) -> Float[Array, "*rows"]:
        """Estimate KL(live ‖ other) at one site from the draw `value`."""
        ...


def is_stratified(estimator: Estimator) -> bool:
    """Whether a mixture is drawn once from each component."""
    return getattr(estimator, "stratified", True)


@dataclasses.dataclass(frozen=True)
class Pathwise:
    """log q(z) − log p(z) with all gradients: unbiased, noisy even at the optimum.

    Attributes:
        stratified: draw mixtures once from each component, or else implicitly.
    """

    stratified: bool = True

    def kl(self, site, live, stopped, other, value) -> Float[Array, "*rows"]:
        return live.log_prob(value) - other.log_prob(value)


@dataclasses.dataclass(frozen=True)
class STL:
    r"""Sticking the landing: the score of the sampling density is dropped.

    Unbiased in the gradient, and free of noise where q is the exact posterior (Roeder et
    al. 2017; Hirt et al. 2024, appendix H). The density of a learned conditional prior,
    q(z | x_S) in L_\S, keeps its full gradient. Of a mixture that is drawn component by
    component the outer weights keep their gradient, those inside log q are stopped.

    Attributes:
        stratified: draw mixtures once from each component, or else implicitly.
    """

    stratified: bool = True

    def kl(self, site, live, stopped, other, value) -> Float[Array, "*rows"]:
        return stopped.log_prob(value) - other.log_prob(value)


@dataclasses.dataclass(frozen=True)
class AnalyticKL:
    """KL in closed form wherever NumPyro has one for the two distributions.

    Attributes:
        otherwise: estimator of the pairs that have none (a mixture prior, say); None
            refuses them.
        stratified: draw mixtures once from each component, or else implicitly.
    """

    otherwise: Estimator | None = None
    stratified: bool = True

    def kl(self, site, live, stopped, other, value) -> Float[Array, "*rows"]:
        try:
            return kl_divergence(live, other)
        except NotImplementedError:
            if self.otherwise is not None:
                return self.otherwise.kl(site, live, stopped, other, value)
        raise TypeError(
            f"AnalyticKL: site {site!r}: expected distributions with a KL in closed form, "
            f"got {name_of(live)} and {name_of(other)}; use STL(), or "
            "AnalyticKL(otherwise=STL()) to estimate only such pairs"
        )


ESTIMATORS = {
    "pathwise": Pathwise,
    "stl": STL,
    "analytic_kl": AnalyticKL,
    "implicit_pathwise": partial(Pathwise, stratified=False),
    "implicit_stl": partial(STL, stratified=False),
}
