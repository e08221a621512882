"""Auxiliary laws of private latents, for MMVAE+."""

from collections.abc import Mapping

import jax.numpy as jnp
import numpyro
from numpyro.distributions import constraints

from consilience.guides.amortized import Guide
from consilience.nn.private import check_private_dim, used_dimensions
from consilience.nn.recipes import recorded

AUXILIARY = "auxiliary.scale"


@recorded
def auxiliary_guide(guide: Guide, private_dim: int | Mapping[str, int]) -> Guide:
    """The guide, with the learned scales σ_t of r_t(w_t) = N(0, diag σ_t²).

    `AuxiliaryMixtureOfExpertsELBO` draws the private latents of others from r_t (Palumbo
    et al. 2023); nothing else looks at it. Scales start at 1.

    Args:
        guide: from `shared_private_guide`.
        private_dim: W, as in the guide.

    Returns:
        the guide with the parameter "auxiliary.scale" `[M, W]`.
    """
    check_private_dim(private_dim)

    def with_auxiliary(data, subset=None) -> None:
        shape = used_dimensions(private_dim, data.names).shape
        positive = constraints.positive
        numpyro.param(AUXILIARY, jnp.ones(shape), constraint=positive)
        guide(data, subset)

    return with_auxiliary
