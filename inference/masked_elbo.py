"""The masked bound, the paper's own."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.inference.conditional_vamp import check_conditional, conditional_vamp
from consilience.inference.contract import require_features
from consilience.inference.subset_elbo import SubsetELBO
from consilience.inference.terms import Terms, Views
from consilience.models.vamp import VampPrior


@final
class MaskedELBO(SubsetELBO):
    r"""E_{S~ρ}[ L_S + L_\S ] (Hirt et al. 2024, equations 3 and 4).

        L_S  = E_{q(z|x_S)}[log p(x_S|z)]  − β KL(q(z|x_S) ‖ p(z))
        L_\S = E_{q(z|x_O)}[log p(x_\S|z)] − β KL(q(z|x_O) ‖ q(z|x_S)),   \S = O \ S

    O is what a row has. With exact posteriors the sum is log p(x_O) for every S
    (Corollary 2); with others it may exceed log p(x_O) under misspecification (Remark 3).
    L_\S is exactly zero where \S is empty.

    Args:
        conditional_prior: the model's `vamp_prior`, to put its conditional form
            1/K Σ_k q(z|u^k_\S, x_S) in place of q(z|x_S) in L_\S (Remark 3), at K times
            the cost of pooling; None leaves q(z|x_S).
        settings: `subsets`, `exhaustive` of `SubsetELBO`, those of `MultimodalELBO`.

    Raises:
        TypeError: `conditional_prior` is none.
        ValueError: at the first call, it is not that of the model and this guide, or
            the guide has no features.
    """

    def __init__(self, *, conditional_prior: VampPrior | None = None, **settings):
        if not isinstance(conditional_prior, VampPrior | None):
            raise TypeError(
                "conditional_prior: expected what vamp_prior(guide, rows) makes, got "
                f"{conditional_prior!r}"
            )
        self.conditional_prior = conditional_prior
        super().__init__(**settings)

    def inspect(self, model, guide, params, data):
        """As every bound does; the conditional prior must be the model's and guide's."""
        sites = super().inspect(model, guide, params, data)
        if self.conditional_prior is not None:
            check_conditional(self.conditional_prior, guide, params, data)
        return sites

    def check(self, sites, guide_trace, data) -> None:
        if self.conditional_prior is not None:
            require_features(sites, guide_trace, data)

    def lend(self, rng_key, params, features, data, subset, own):
        if self.conditional_prior is None:
            return own
        given = (params, features, data, subset)
        return conditional_vamp(rng_key, self.conditional_prior, *given)

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        return masked_views(*self.subset_views(rng_key, present), present)

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        rate = self.cross_rate(terms, views)
        kl = jnp.concatenate([terms.kl_prior[:-1], rate[None]])
        return self.reconstruction(terms, views) - beta * kl


def masked_views(
    S: Bool[Array, "subsets rows modalities"],
    weight: Float[Array, "subsets rows"],
    O: Bool[Array, "rows modalities"],  # noqa: E741
) -> Views:
    """A view of each S, and one of O that explains what each S lacks."""
    last = len(S)
    weight_rest = weight * (O & ~S).any(-1)
    rest = (weight[..., None] * (O & ~S)).sum(0)
    return Views(
        subsets=jnp.concatenate([S, O[None]]),
        score=jnp.concatenate([S, rest[None]]),
        weight=jnp.concatenate([weight, (weight_rest > 0).any(0)[None]]),
        cross=tuple((last, v) for v in range(last)),
        cross_weight=weight_rest,
    )
