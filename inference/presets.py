"""Published methods: aggregation × bound × prior, to be used as they are or changed.

    method = cs.mvtcae(latent_dim=16, likelihoods=cs.NormalLikelihood())
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)

Each returns plain parts: replace the prior, the guide or the bound by your own.
"""

import dataclasses
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

from consilience.guides.amortized import Guide, amortized_guide
from consilience.guides.auxiliary import auxiliary_guide
from consilience.guides.equivariant import EquivariantProductOfExperts
from consilience.guides.experts import MixtureOfExperts, ProductOfExperts
from consilience.guides.heads import LaplaceHead
from consilience.guides.shared_private import shared_private_guide
from consilience.guides.sum_pooling import SumPooling
from consilience.inference.elbo import MultimodalELBO
from consilience.inference.experts import (
    AuxiliaryMixtureOfExpertsELBO,
    JensenShannonELBO,
    MixtureOfExpertsELBO,
)
from consilience.inference.masked_elbo import MaskedELBO
from consilience.inference.mixture_elbo import MixtureELBO
from consilience.inference.subsampled import SubsampledELBO
from consilience.inference.subsets import UniformNonEmpty
from consilience.inference.total_correlation import InterpolatedTotalCorrelationELBO
from consilience.models.decoders import MLPDecoder
from consilience.models.likelihoods import Likelihood
from consilience.models.multimodal import Model, multimodal_model
from consilience.models.priors import Prior, standard_laplace, standard_normal
from consilience.models.private import shared_private_model
from consilience.nn.kinds import checked_kinds

Likelihoods = Likelihood | Mapping[str, Likelihood]


class Method(NamedTuple):
    """What `SVI` takes.

    Attributes:
        model: p(x, z).
        guide: q(z | x_S).
        elbo: the bound.
    """

    model: Model
    guide: Guide
    elbo: MultimodalELBO


@dataclasses.dataclass(frozen=True)
class Networks:
    """Encoders and decoders, for all modalities or by name.

    Attributes:
        encoders: constructors, as in `ENCODERS`; None for `usual_encoder` of each.
        decoders: constructors, as in `DECODERS`.
        num_features: F, the width of encoders' features.
    """

    encoders: Callable | Mapping[str, Callable] | None = None
    decoders: Callable | Mapping[str, Callable] = MLPDecoder
    num_features: int = 128


def _shared(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks,
    aggregation: Callable,
    elbo: MultimodalELBO,
    prior: Callable[[int], Prior] = standard_normal,
) -> Method:
    model = multimodal_model(prior(latent_dim), likelihoods, networks.decoders)
    parts = (networks.encoders, aggregation, networks.num_features)
    return Method(model, amortized_guide(latent_dim, *parts), elbo)


@checked_kinds
def masked(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    aggregation: Callable = SumPooling,
    **bound,
) -> Method:
    """The paper's own (Hirt et al. 2024): a learned aggregation and the masked bound.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        aggregation: as in `AGGREGATIONS`.
        bound: settings of `MaskedELBO`.
    """
    elbo = MaskedELBO(**bound)
    return _shared(latent_dim, likelihoods, networks, aggregation, elbo)


@checked_kinds
def mvae(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    **bound,
) -> Method:
    """MVAE (Wu & Goodman 2018): a product of experts, sub-sampled bounds.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        bound: settings of `SubsampledELBO`.
    """
    elbo = SubsampledELBO(**bound)
    return _shared(latent_dim, likelihoods, networks, ProductOfExperts, elbo)


@checked_kinds
def mmvae(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    **bound,
) -> Method:
    """MMVAE (Shi et al. 2019): a mixture of Laplace experts, an importance-weighted bound.

    The gradient is the unbiased one; `estimator=PublishedDReG()` is the publication's.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        bound: settings of `MixtureOfExpertsELBO`.
    """
    elbo = MixtureOfExpertsELBO(**bound)
    experts = partial(MixtureOfExperts, head=LaplaceHead())
    parts = (latent_dim, likelihoods, networks, experts, elbo)
    return _shared(*parts, standard_laplace)


@checked_kinds
def mopoe(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    exhaustive: bool = True,
    **bound,
) -> Method:
    """MoPoE (Sutter et al. 2021): products of experts of all subsets, the mixture bound.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        exhaustive: all 2^M − 1 subsets, as published, or one drawn a row.
        bound: settings of `MixtureELBO`.
    """
    elbo = MixtureELBO(subsets=UniformNonEmpty(), exhaustive=exhaustive, **bound)
    return _shared(latent_dim, likelihoods, networks, ProductOfExperts, elbo)


@checked_kinds
def mmjsd(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    **bound,
) -> Method:
    """MMJSD (Sutter et al. 2020): a mixture of experts against a dynamic prior.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        bound: settings of `JensenShannonELBO`.
    """
    elbo = JensenShannonELBO(**bound)
    return _shared(latent_dim, likelihoods, networks, MixtureOfExperts, elbo)


@checked_kinds
def mvtcae(
    latent_dim: int,
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    **bound,
) -> Method:
    """MVTCAE (Hwang et al. 2021): a product without prior expert, total correlation.

    Args:
        latent_dim: D.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        bound: settings of `InterpolatedTotalCorrelationELBO`, such as `alpha`.
    """
    elbo = InterpolatedTotalCorrelationELBO(**bound)
    experts = partial(ProductOfExperts, prior_expert=False)
    return _shared(latent_dim, likelihoods, networks, experts, elbo)


@checked_kinds
def mmvae_plus(
    latent_dim: int,
    private_dim: int | Mapping[str, int],
    likelihoods: Likelihoods,
    networks: Networks = Networks(),
    **bound,
) -> Method:
    """MMVAE+ (Palumbo et al. 2023): mixture of experts, private latents, auxiliary laws.

    Args:
        latent_dim: D.
        private_dim: W, or by modality.
        likelihoods: one for all modalities, or by name.
        networks: encoders and decoders.
        bound: settings of `AuxiliaryMixtureOfExpertsELBO`.
    """
    sizes = (latent_dim, private_dim)
    prior = standard_normal(latent_dim)
    model = shared_private_model(prior, private_dim, likelihoods, networks.decoders)
    experts = partial(EquivariantProductOfExperts, shared=MixtureOfExperts)
    parts = (networks.encoders, experts, networks.num_features)
    guide = auxiliary_guide(shared_private_guide(*sizes, *parts), private_dim)
    return Method(model, guide, AuxiliaryMixtureOfExpertsELBO(**bound))


PRESETS = {
    "masked": masked,
    "mvae": mvae,
    "mmvae": mmvae,
    "mopoe": mopoe,
    "mmjsd": mmjsd,
    "mvtcae": mvtcae,
    "mmvae_plus": mmvae_plus,
}
