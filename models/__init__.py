"""Generative models p(x, z) as NumPyro programs, and their parts."""

from consilience.models.decoders import DECODERS, LinearDecoder, MLPDecoder
from consilience.models.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    CategoricalLikelihood,
    HeteroscedasticNormalLikelihood,
    LearnedNormalLikelihood,
    NormalLikelihood,
    OneHotLikelihood,
)
from consilience.models.linear_gaussian import LinearGaussian, illustrative_example
from consilience.models.maximum_likelihood import maximum_likelihood
from consilience.models.multimodal import multimodal_model, observe
from consilience.models.priors import PRIORS, gaussian_mixture, standard_normal

__all__ = [
    "DECODERS",
    "LIKELIHOODS",
    "PRIORS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "HeteroscedasticNormalLikelihood",
    "LearnedNormalLikelihood",
    "LinearDecoder",
    "LinearGaussian",
    "MLPDecoder",
    "NormalLikelihood",
    "OneHotLikelihood",
    "gaussian_mixture",
    "illustrative_example",
    "maximum_likelihood",
    "multimodal_model",
    "observe",
    "standard_normal",
]
