"""The masked bound, the paper's own."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.inference.elbo import MultimodalELBO
from consilience.inference.terms import Terms, Views


@final
class MaskedELBO(MultimodalELBO):
    r"""E_{S~ρ}[ L_S + L_\S ] (Hirt et al. 2024, equations 3 and 4).

        L_S  = E_{q(z|x_S)}[log p(x_S|z)]  − β KL(q(z|x_S) ‖ p(z))
        L_\S = E_{q(z|x_O)}[log p(x_\S|z)] − β KL(q(z|x_O) ‖ q(z|x_S)),   \S = O \ S

    O is what a row has. With exact posteriors the sum is log p(x_O) for every S
    (Corollary 2); with others it may exceed log p(x_O) under misspecification (Remark 3).
    L_\S is exactly zero where \S is empty. Arguments: see `MultimodalELBO`.
    """

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        S, O = self.draw_subset(rng_key, present), present  # noqa: E741
        rest = O & ~S
        return Views(
            subsets=jnp.stack([S, O]),
            score=jnp.stack([S, rest]),
            weight=jnp.stack([jnp.ones_like(O[:, 0]), rest.any(-1)]),
            cross=((1, 0),),
        )

    def combine(
        self, terms: Terms, views: Views, beta: float | Array
    ) -> Float[Array, "views rows"]:
        kl = jnp.stack([terms.kl_prior[0], terms.kl_cross[0]])
        return self.reconstruction(terms, views) - beta * kl


BOUNDS = {"masked": MaskedELBO}
