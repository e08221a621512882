"""Bounds from the total correlation: every S is asked for what all modalities say."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.inference.contract import parameters_of_prior
from consilience.inference.elbo import MultimodalELBO
from consilience.inference.subset_elbo import SubsetELBO
from consilience.inference.subsets import SubsetLaw, Unimodal, unimodal
from consilience.inference.terms import Terms, Views
from consilience.nn.sizes import check_within


def refuse_learned_prior(bound: str, model, params: dict, data, site: str) -> None:
    """The prior does not enter: its parameters would stay what they are, silently.

    Raises:
        ValueError: naming the parameters.
    """
    found = parameters_of_prior(model, params, data, site)
    if found:
        raise ValueError(
            f"model: expected a prior without parameters, which {bound} never evaluates, "
            f"got {', '.join(found)}; use MaskedELBO, or standard_normal"
        )


@final
class TotalCorrelationELBO(SubsetELBO):
    """E_{S~ρ}[ E_{q(z|x_O)}[log p(x_O|z)] − β KL(q(z|x_O) ‖ q(z|x_S)) ].

    Hirt et al. 2024, Remark 20 and appendix G. No prior enters, so that nothing pulls
    q towards p(z): generate from subsets, not from the prior. Arguments: see
    `SubsetELBO`; ρ is `Unimodal` unless told otherwise.

    Raises:
        ValueError: at the first call, the prior has parameters.
    """

    def __init__(
        self,
        *,
        subsets: SubsetLaw = Unimodal(),  # noqa: B008 (frozen)
        exhaustive: bool = False,
        **settings,
    ):
        super().__init__(subsets=subsets, exhaustive=exhaustive, **settings)

    def inspect(self, model, guide, params, data):
        sites = super().inspect(model, guide, params, data)
        refuse_learned_prior(type(self).__name__, model, params, data, sites.root)
        return sites

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        S, weight = self.subset_views(rng_key, present)
        return Views(
            subsets=jnp.concatenate([present[None], S]),
            score=present[None],
            weight=jnp.ones((1, len(present))),
            cross=tuple((0, 1 + v) for v in range(len(S))),
            cross_weight=weight,
            rate=False,
        )

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        return self.reconstruction(terms, views) - beta * self.cross_rate(terms, views)


@final
class InterpolatedTotalCorrelationELBO(MultimodalELBO):
    """MVTCAE (Hwang et al. 2021): total correlation and the prior, weighed by α.

        (|O|−α)/|O| E_{q(z|x_O)}[log p(x_O|z)]
            − β [ (1−α) KL(q(z|x_O) ‖ p(z)) + α/|O| Σ_{s∈O} KL(q(z|x_O) ‖ q(z|x_s)) ]

    Published with a product of experts without prior expert, so that q(z|x_s) is the
    expert itself. α = 1 has no prior either.

    Args:
        alpha: α in [0, 1].
        settings: `beta`, `weights`, `estimator`, `num_particles` of `MultimodalELBO`.

    Raises:
        ValueError: α out of range; at the first call, α = 1 and the prior has parameters.
    """

    def __init__(self, alpha: float = 0.9, **settings):
        check_within("alpha", alpha, 0, 1, "[]")
        self.alpha = alpha
        super().__init__(**settings)

    def inspect(self, model, guide, params, data):
        sites = super().inspect(model, guide, params, data)
        if self.alpha == 1:
            refuse_learned_prior(
                f"{type(self).__name__}(1)", model, params, data, sites.root
            )
        return sites

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        each, weight = unimodal(present)
        count = jnp.maximum(present.sum(-1, keepdims=True), 1)
        return Views(
            subsets=jnp.concatenate([present[None], each]),
            score=(present * (1 - self.alpha / count))[None],
            weight=jnp.ones((1, len(present))),
            cross=tuple((0, 1 + s) for s in range(len(each))),
            cross_weight=self.alpha * weight,
            rate=self.alpha < 1,
        )

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        rate = (1 - self.alpha) * terms.kl_prior + self.cross_rate(terms, views)
        return self.reconstruction(terms, views) - beta * rate
