"""The amortised guide of models with private latents."""

from collections.abc import Callable, Mapping

import jax.numpy as jnp
import numpyro
import numpyro.distributions as dist
from jaxtyping import Array, Bool

from consilience.datasets.data import MultimodalData
from consilience.guides.amortized import (
    Guide,
    check_aggregation,
    encode,
    encoder_look_up,
    pooled,
)
from consilience.guides.equivariant import EquivariantSumPooling
from consilience.nn.kinds import checked_kinds
from consilience.nn.lazy import module
from consilience.nn.private import (
    PrivatePrior,
    check_private_dim,
    private_law,
    standard_private,
    used_dimensions,
)
from consilience.nn.recipes import recorded
from consilience.nn.sizes import check_positive


@recorded
@checked_kinds
def shared_private_guide(
    latent_dim: int,
    private_dim: int | Mapping[str, int],
    encoders: Callable | Mapping[str, Callable] | None = None,
    aggregation: Callable = EquivariantSumPooling,
    num_features: int = 128,
    private_prior: PrivatePrior = standard_private,
) -> Guide:
    """q(z | x_S) Π_{s∈S} q(w_s | z, x_S) Π_{s∉S} p(w_s | z) for any subset S.

    An absent private latent gets its prior, as it has in the exact posterior (Hirt et
    al. 2024, equation 10); so do dimensions that a modality has too many.

    In the exact posterior w_s depends on z and x_s only. `EquivariantProductOfExperts`
    keeps x_t out for certain, but does not look at z; the other two look at everything
    and have to learn it. All three treat the modalities alike: permuting them permutes
    the private laws, which an invariant aggregation of one long latent does not.

    Args:
        latent_dim: D, the width of "z".
        private_dim: W, the width of each w_s, or by modality, as in the model.
        encoders: constructor of the networks x_s → h_s, for all modalities or by name,
            as in `ENCODERS`; None for `usual_encoder` of each, an `MLPEncoder`.
        aggregation: constructor of the pooling, as in `EQUIVARIANT_AGGREGATIONS`.
        num_features: F, the width of h_s.
        private_prior: p(w | z), the same object as the model's.

    Returns:
        `guide(data, subset=None)`: samples "z" `[N, D]` and "w" `[N, M, W]`.

    Raises:
        TypeError: an encoder or the aggregation is not a constructor.
        ValueError: a size is not positive, or modalities are not those of the data.
    """
    check_aggregation(aggregation, equivariant=True)
    encoder_of = encoder_look_up(encoders)
    check_positive(latent_dim=latent_dim, num_features=num_features)
    check_private_dim(private_dim)

    def guide(
        data: MultimodalData, subset: Bool[Array, "rows modalities"] | None = None
    ) -> None:
        subset = data.subset(subset)
        used = used_dimensions(private_dim, data.names)
        sizes = (num_features, latent_dim, used.shape[-1])
        pooling = module("aggregation", aggregation, *sizes)
        h = encode(data, encoder_of, num_features)
        q_z, embedded = pooled(pooling, h, subset)
        with data.plate():
            z = numpyro.sample("z", q_z)
            p_w = private_law(private_prior, z, data.names, used.shape[-1])
            prior = (p_w.loc, p_w.scale)
            own = pooling.private(embedded, z, subset)
            counts = subset[..., None] & used
            loc, scale = (
                jnp.where(counts, *pair) for pair in zip(own, prior, strict=True)
            )
            numpyro.sample("w", dist.Normal(loc, scale).to_event(2))

    return guide
