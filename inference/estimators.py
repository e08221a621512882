"""How the KL (rate) terms of a bound are estimated from one draw of the guide.

An estimator is asked site by site for KL(q ‖ p) given a reparameterised draw of q: `live`
is q as it is, `stopped` is q with its variational parameters under stop-gradient.

Where the guide's first site is a mixture, `stratified` says how it is drawn: once from each
component, weighted (Morningstar et al. 2021), or once from the mixture, which must then be
a `ReparameterizedMixture` (implicit reparameterisation, Figurnov et al. 2018). The first is
the default: the implicit gradient's noise explodes as components separate.
"""

import dataclasses
import warnings
from abc import ABC, abstractmethod
from functools import partial
from typing import ClassVar

import jax.numpy as jnp
import numpyro.distributions as dist
from jaxtyping import Array, Float
from numpyro.distributions.kl import kl_divergence

from consilience.inference.programs import base_of, name_of


class Estimator(ABC):
    """The role of an estimator.

    Attributes:
        stratified: draw a mixture once from each component.
        plain: right for bounds that are means over draws.
        weighted: right inside the logarithm of an importance-weighted mean.
        doubly: in such a mean the paths of draws get the factors of DReG.
        component_score: add what DReG lacks where draws come from single components.
    """

    stratified: bool = True
    plain: ClassVar[bool] = True
    weighted: ClassVar[bool] = False
    doubly: ClassVar[bool] = False
    component_score: ClassVar[bool] = False

    @abstractmethod
    def kl(
        self,
        site: str,
        live: dist.Distribution,
        stopped: dist.Distribution,
        other: dist.Distribution,
        value: Array,
    ) -> Float[Array, "*rows"]:
        """Estimate KL(live ‖ other) at one site from the draw `value`."""


@dataclasses.dataclass(frozen=True)
class Pathwise(Estimator):
    """log q(z) − log p(z) with all gradients: unbiased, noisy even at the optimum.

    Attributes:
        stratified: draw mixtures once from each component, or else implicitly.
    """

    stratified: bool = True
    weighted = True

    def kl(self, site, live, stopped, other, value) -> Float[Array, "*rows"]:
        return live.log_prob(value) - other.log_prob(value)


@dataclasses.dataclass(frozen=True)
class STL(Estimator):
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
class AnalyticKL(Estimator):
    """KL in closed form wherever NumPyro has one for the two distributions.

    Attributes:
        otherwise: estimator of the pairs that have none (a mixture prior, say); None
            refuses them.
        stratified: draw mixtures once from each component, or else implicitly.
    """

    otherwise: Estimator | None = None
    stratified: bool = True

    def __post_init__(self):
        if self.otherwise is None:
            return
        if not isinstance(self.otherwise, Estimator) or not self.otherwise.plain:
            raise TypeError(
                "otherwise: expected an estimator for means such as STL(), got "
                f"{self.otherwise!r}"
            )
        if self.otherwise.stratified != self.stratified:
            raise ValueError(
                f"otherwise: expected stratified={self.stratified} as in AnalyticKL, got "
                f"{self.otherwise!r}"
            )

    def kl(self, site, live, stopped, other, value) -> Float[Array, "*rows"]:
        try:
            return kl_divergence(live, _as_full(other, live))
        except NotImplementedError:
            if self.otherwise is not None:
                return self.otherwise.kl(site, live, stopped, other, value)
        raise TypeError(
            f"AnalyticKL: site {site!r}: expected distributions with a KL in closed form, "
            f"got {name_of(live)} and {name_of(other)}; use STL(), or "
            "AnalyticKL(otherwise=STL()) to estimate only such pairs"
        )


def _as_full(other: dist.Distribution, like: dist.Distribution) -> dist.Distribution:
    """Independent Normals as one with a covariance, where the other has one."""
    independent = isinstance(base_of(other), dist.Normal) and other.event_dim == 1
    if not isinstance(like, dist.MultivariateNormal) or not independent:
        return other
    scale = jnp.sqrt(other.variance)
    tril = scale[..., None] * jnp.eye(scale.shape[-1])
    return dist.MultivariateNormal(other.mean, scale_tril=tril)


@dataclasses.dataclass(frozen=True)
class DReG(STL):
    """Doubly reparameterised gradients of importance-weighted bounds (Tucker et al. 2019).

    Unbiased, and its noise does not drown the signal as K grows. Each draw's path counts
    with (1 − β) w̃ + β w̃², w̃ its normalised weight, in place of the score of its density.
    Where draws come from single components q_k of a mixture q, as the stratified ones do,
    ∂_φ (log q_k − log q)(z_k) is added with weight β w̃: that is what is left of the
    scores then, and without it the gradient is biased (`PublishedDReG`).

    Attributes:
        stratified: draw mixtures once from each component, or else implicitly.
    """

    plain = False
    weighted = True
    doubly = True
    component_score = True


@dataclasses.dataclass(frozen=True)
class PublishedDReG(DReG):
    """DReG as published for mixtures of experts (Shi et al. 2019): **biased**.

    Without the scores of the components the gradient is wrong for K > 1 draws of M > 1
    experts: in a one-dimensional example with K = 2 its mean is (.643, −.144) where
    (.692, −.102) is true. For comparison with published results only; it warns.
    """

    component_score = False

    def __post_init__(self):
        warnings.warn(
            "PublishedDReG: the gradient is biased for mixtures; DReG() is not",
            stacklevel=3,
        )


ESTIMATORS = {
    "pathwise": Pathwise,
    "stl": STL,
    "analytic_kl": AnalyticKL,
    "implicit_pathwise": partial(Pathwise, stratified=False),
    "implicit_stl": partial(STL, stratified=False),
    "dreg": DReG,
    "implicit_dreg": partial(DReG, stratified=False),
}
