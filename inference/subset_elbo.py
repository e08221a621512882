"""The base of bounds that are means over a law of subsets."""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.inference.elbo import MultimodalELBO
from consilience.inference.subsets import Hierarchical, SubsetLaw, check_law


class SubsetELBO(MultimodalELBO):
    """A mean over S ~ ρ, from one drawn S a row, or from all of them.

    Args:
        subsets: the law ρ, as in `SUBSETS`, or a function `(rng_key, present)` that
            returns a subset a row.
        exhaustive: evaluate every subset that ρ can give, weighted with its probability,
            in place of one drawn S: no noise of S, at 2^M times the cost (M for
            `Unimodal`). Needs a law that says its probabilities, as those of `SUBSETS` do.
        settings: `beta`, `weights`, `estimator` and `num_particles` of `MultimodalELBO`.

    Raises:
        TypeError: no law; `exhaustive` with one that does not know its probabilities.
        ValueError: at the first call, `exhaustive` with more than 12 modalities.
    """

    def __init__(
        self,
        *,
        subsets: SubsetLaw = Hierarchical(),  # noqa: B008 (frozen)
        exhaustive: bool = False,
        **settings,
    ):
        check_law(subsets, exhaustive)
        self.subsets, self.exhaustive = subsets, exhaustive
        super().__init__(**settings)

    def subset_views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> tuple[Bool[Array, "subsets rows modalities"], Float[Array, "subsets rows"]]:
        """Subsets S, as far as present, and the weight of each in the mean."""
        if self.exhaustive:
            return self.subsets.listed(present)
        S = present & self.subsets(rng_key, present)
        return S[None], jnp.ones((1, len(present)))
