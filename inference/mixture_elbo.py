"""The mixture bound: each subset explains everything."""

from typing import final

import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from consilience.inference.subset_elbo import SubsetELBO
from consilience.inference.terms import Views


@final
class MixtureELBO(SubsetELBO):
    r"""E_{S~ρ}[ E_{q(z|x_S)}[log p(x_O|z)] − β KL(q(z|x_S) ‖ p(z)) ].

    Hirt et al. 2024, equation 1; with ρ uniform over the non-empty subsets and a product
    of experts it is MoPoE (Sutter et al. 2021), with one modality at a time MMVAE's
    bound of one sample. **It is loose**: at β = 1 the gap to log p(x_O) is
    E KL(q(z|x_S) ‖ p(z|x_O)), which no guide can close where x_\S tells more than x_S,
    and reconstructions blur. `MaskedELBO` does not have this gap. Arguments: see
    `SubsetELBO`.
    """

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        S, weight = self.subset_views(rng_key, present)
        return Views(S, jnp.broadcast_to(present, S.shape), weight)
