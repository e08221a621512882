r"""Importance-weighted bounds: the logarithm of a mean over K draws."""

import warnings
from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.inference.elbo import MultimodalELBO, Values
from consilience.inference.estimators import DReG, Estimator, PublishedDReG
from consilience.inference.masked_elbo import MaskedELBO, masked_views
from consilience.inference.reductions import log_average, log_sum_exp
from consilience.inference.subsets import Hierarchical, SubsetLaw, check_law
from consilience.inference.terms import Views, everything
from consilience.nn.sizes import check_positive


class WeightedELBO(MultimodalELBO):
    """The base: K draws a view, log w = log p(x|z) + β (log p(z) − log q(z)).

    Args:
        num_samples: K.
        estimator: `DReG()` or `Pathwise()`; sticking the landing is biased for K > 1,
            and closed forms have no place inside a logarithm.
        settings: `beta`, `weights`, `num_particles` of `MultimodalELBO`. **With β or
            weights ≠ 1 and K > 1 the result bounds nothing**; of β it warns.

    Raises:
        ValueError: K is not positive, an estimator that is biased here.
    """

    weighted = True

    def __init__(
        self,
        num_samples: int = 8,
        *,
        estimator: Estimator = DReG(),  # noqa: B008 (frozen)
        **settings,
    ):
        check_positive(num_samples=num_samples)
        self._check_bias(estimator)
        self.num_samples = num_samples
        super().__init__(estimator=estimator, **settings)
        if self.beta != 1 and num_samples > 1:
            warnings.warn(
                f"{type(self).__name__}: with beta={self.beta} and {num_samples} samples "
                "the result is no bound of a likelihood",
                stacklevel=3,
            )

    def _check_bias(self, estimator: Estimator) -> None:
        if isinstance(estimator, PublishedDReG):
            raise ValueError(
                f"estimator: expected DReG() for {type(self).__name__}, got "
                "PublishedDReG(), which was published for mixtures of experts"
            )

    def reduce(
        self, values: Values, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        """log 1/K Σ w, mixtures drawn by strata."""
        return log_average(*values, beta)


@final
class ImportanceWeightedELBO(WeightedELBO):
    """E log 1/K Σ_k p(x_O, z_k) / q(z_k | x_O), z_k ~ q(z | x_O) (Burda et al. 2016).

    A lower bound of log p(x_O) that does not fall as K grows. It trains q(z | x_O) only:
    what q(z | x_S) is for other S, nothing says. Arguments: see `WeightedELBO`.
    """

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        return everything(present)


@final
class ImportanceWeightedMaskedELBO(WeightedELBO):
    r"""The masked bound with K draws of each integral: E_{S~ρ}[ L_S^K + L_\S^K ].

        L_S^K  = log 1/K Σ_k p(x_S|z_k) [p(z_k) / q(z_k|x_S)]^β,      z_k ~ q(z|x_S)
        L_\S^K = log 1/K Σ_k p(x_\S|z_k) [q(z_k|x_S) / q(z_k|x_O)]^β, z_k ~ q(z|x_O)

    Each is at least the term of `MaskedELBO` that it replaces (Jensen).

    Args:
        num_samples: K.
        joint: one logarithm of the mean of products in place of two, as the authors'
            code has it: log 1/K Σ_k w_S^k w_\S^k. Draws must then be single ones:
            mixtures need an estimator with `stratified=False`.
        subsets: the law ρ, as in `SUBSETS`.
        settings: see `WeightedELBO`.

    Raises:
        TypeError: no law; at the first call, strata with `joint`.
        ValueError: see `WeightedELBO`.
    """

    def __init__(
        self,
        num_samples: int = 8,
        *,
        joint: bool = False,
        subsets: SubsetLaw = Hierarchical(),  # noqa: B008 (frozen)
        **settings,
    ):
        check_law(subsets, exhaustive=False)
        self.subsets, self.joint = subsets, joint
        super().__init__(num_samples, **settings)

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        S = present & self.subsets(rng_key, present)
        return masked_views(S[None], jnp.ones((1, len(present))), present)

    combine = MaskedELBO.combine

    def reduce(
        self, values: Values, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        if not self.joint:
            return super().reduce(values, views, beta)
        value, log_weights, tag = values
        if log_weights.shape[1] > 1:
            raise TypeError(
                "estimator: expected one that draws mixtures at once, such as "
                f"DReG(stratified=False), with joint=True, got {self.estimator!r}"
            )
        counted = jnp.where(views.weight > 0, value[:, 0], 0.0)
        both = jnp.broadcast_to(counted.sum(1, keepdims=True), counted.shape)
        tag = tag if tag is None else tag[:, 0]
        found = log_sum_exp(both, tag, beta) - jnp.log(len(value))
        return jnp.where(jnp.arange(2)[:, None] == 0, found, 0.0)
