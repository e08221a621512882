"""Amortised posteriors q(z | x_S) as NumPyro programs, and their parts."""

from consilience.guides.aggregations import AGGREGATIONS
from consilience.guides.amortized import amortized_guide
from consilience.guides.auxiliary import auxiliary_guide
from consilience.guides.convolutional_encoders import ConvEncoder, TextEncoder
from consilience.guides.corrected_experts import CorrectedProductOfExperts
from consilience.guides.embedding_encoder import EmbeddingEncoder
from consilience.guides.encoders import (
    ENCODERS,
    MLPEncoder,
    PassThroughEncoder,
    usual_encoder,
)
from consilience.guides.equivariant import (
    EQUIVARIANT_AGGREGATIONS,
    EquivariantAggregation,
    EquivariantProductOfExperts,
    EquivariantSelfAttention,
    EquivariantSumPooling,
)
from consilience.guides.experts import MixtureOfExperts, ProductOfExperts
from consilience.guides.heads import (
    HEADS,
    CholeskyHead,
    Head,
    LaplaceHead,
    MixtureHead,
    NaturalHead,
    NormalHead,
)
from consilience.guides.mixture import ReparameterizedMixture
from consilience.guides.mixture_prior import MixturePriorProductOfExperts
from consilience.guides.mopoe import MixtureOfProductsOfExperts
from consilience.guides.roles import Aggregation
from consilience.guides.self_attention import SelfAttention
from consilience.guides.shared_private import shared_private_guide
from consilience.guides.sum_pooling import SumPooling

__all__ = [
    "AGGREGATIONS",
    "ENCODERS",
    "EQUIVARIANT_AGGREGATIONS",
    "HEADS",
    "Aggregation",
    "CholeskyHead",
    "ConvEncoder",
    "CorrectedProductOfExperts",
    "EmbeddingEncoder",
    "EquivariantAggregation",
    "EquivariantProductOfExperts",
    "EquivariantSelfAttention",
    "EquivariantSumPooling",
    "Head",
    "LaplaceHead",
    "MLPEncoder",
    "MixtureHead",
    "MixtureOfExperts",
    "MixtureOfProductsOfExperts",
    "MixturePriorProductOfExperts",
    "NaturalHead",
    "NormalHead",
    "PassThroughEncoder",
    "ProductOfExperts",
    "ReparameterizedMixture",
    "SelfAttention",
    "SumPooling",
    "TextEncoder",
    "amortized_guide",
    "auxiliary_guide",
    "shared_private_guide",
    "usual_encoder",
]
