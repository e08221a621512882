"""Generative models p(x, z) as NumPyro programs, and their parts."""

from consilience.models.convolutional_decoders import ConvDecoder, TextDecoder
from consilience.models.counts import (
    NegativeBinomialLikelihood,
    PoissonLikelihood,
    ZeroInflatedNegativeBinomialLikelihood,
)
from consilience.models.decoders import DECODERS, LinearDecoder, MLPDecoder
from consilience.models.likelihoods import (
    LIKELIHOODS,
    BernoulliLikelihood,
    CategoricalLikelihood,
    OneHotLikelihood,
)
from consilience.models.linear_gaussian import LinearGaussian, illustrative_example
from consilience.models.location_scale import (
    HeteroscedasticNormalLikelihood,
    LaplaceLikelihood,
    LearnedLaplaceLikelihood,
    LearnedNormalLikelihood,
    NormalLikelihood,
    StudentTLikelihood,
)
from consilience.models.maximum_likelihood import maximum_likelihood
from consilience.models.multimodal import multimodal_model, observe
from consilience.models.nonlinear_gaussian import NonlinearGaussian
from consilience.models.priors import (
    PRIORS,
    Prior,
    gaussian_mixture,
    label_conditional,
    responsibilities,
    standard_laplace,
    standard_normal,
)
from consilience.models.private import (
    PRIVATE_PRIORS,
    learned_private,
    shared_private_model,
    standard_private,
)
from consilience.models.semitied import semitied_mixture, sources
from consilience.models.semitied_clusters import SemitiedClusters, semitied_clusters
from consilience.models.vamp import VampPrior, vamp_prior

__all__ = [
    "DECODERS",
    "LIKELIHOODS",
    "PRIORS",
    "PRIVATE_PRIORS",
    "BernoulliLikelihood",
    "CategoricalLikelihood",
    "ConvDecoder",
    "HeteroscedasticNormalLikelihood",
    "LaplaceLikelihood",
    "LearnedLaplaceLikelihood",
    "LearnedNormalLikelihood",
    "LinearDecoder",
    "LinearGaussian",
    "MLPDecoder",
    "NegativeBinomialLikelihood",
    "NonlinearGaussian",
    "NormalLikelihood",
    "OneHotLikelihood",
    "PoissonLikelihood",
    "Prior",
    "SemitiedClusters",
    "StudentTLikelihood",
    "TextDecoder",
    "VampPrior",
    "ZeroInflatedNegativeBinomialLikelihood",
    "gaussian_mixture",
    "illustrative_example",
    "label_conditional",
    "learned_private",
    "maximum_likelihood",
    "multimodal_model",
    "observe",
    "responsibilities",
    "semitied_clusters",
    "semitied_mixture",
    "shared_private_model",
    "sources",
    "standard_laplace",
    "standard_normal",
    "standard_private",
    "vamp_prior",
]
