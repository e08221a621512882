"""MVAE's objective: ordinary bounds of several subsets, added."""

from typing import final

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from consilience.inference.elbo import MultimodalELBO
from consilience.inference.subsets import unimodal
from consilience.inference.terms import Views
from consilience.nn.sets import log_binomial, random_of_size
from consilience.nn.sizes import check_whole


@final
class SubsampledELBO(MultimodalELBO):
    """L_O + Σ_{s∈O} L_{s} + Σ_j L_{S_j} (MVAE, Wu & Goodman 2018).

    L_S is the ordinary bound of log p(x_S); each S_j is uniform over the subsets of 2 to
    |O| − 1 modalities, and missing where there are none. A sum, not a mean: about
    1 + |O| + k times the size of other bounds.

    Args:
        num_subsets: k, random subsets a row; 0 for none.
        settings: `beta`, `weights`, `estimator`, `num_particles` of `MultimodalELBO`.

    Raises:
        ValueError: `num_subsets` is negative.
    """

    def __init__(self, num_subsets: int = 1, **settings):
        check_whole(num_subsets=num_subsets)
        self.num_subsets = num_subsets
        super().__init__(**settings)

    def check(self, sites, guide_trace, data) -> None:
        if sites.shared:
            raise TypeError(
                "guide: expected latents of rows only for SubsampledELBO, a sum of bounds "
                f"that would each count them, got the global {', '.join(sites.shared)}"
            )

    def views(
        self, rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
    ) -> Views:
        keys = jax.random.split(rng_key, self.num_subsets)
        between = [strictly_between(key, present) for key in keys]
        singles, _ = unimodal(present)
        S = jnp.concatenate([present[None], singles, *(s[None] for s in between)])
        return Views(S, S, S.any(-1))


def strictly_between(
    rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
) -> Bool[Array, "rows modalities"]:
    """Uniform over the subsets of 2 to |O| − 1 modalities; empty where there is none."""
    count = present.sum(-1, keepdims=True)
    size = jnp.arange(present.shape[-1] + 1)
    inside = (size >= 2) & (size <= count - 1)
    size = jnp.where(inside, size, 0)
    ways = log_binomial(count * 1.0, size * 1.0)
    logits = jnp.where(inside, ways, jnp.finfo(ways.dtype).min)
    return inside.any(-1, keepdims=True) & random_of_size(rng_key, present, logits)
