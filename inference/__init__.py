"""Bounds, and what to do with a trained posterior."""

from consilience.inference.annealed import AnnealingSchedule, annealed_log_likelihood
from consilience.inference.attention import attention_weights
from consilience.inference.bounds import BOUNDS
from consilience.inference.consistency import ConsistentELBO, maximum_mean_discrepancy
from consilience.inference.datatree import to_datatree
from consilience.inference.elbo import MultimodalELBO
from consilience.inference.estimators import (
    ESTIMATORS,
    STL,
    AnalyticKL,
    DReG,
    Estimator,
    Pathwise,
    PublishedDReG,
)
from consilience.inference.experts import (
    AuxiliaryMixtureOfExpertsELBO,
    JensenShannonELBO,
    MixtureOfExpertsELBO,
)
from consilience.inference.importance_weighted import (
    ImportanceWeightedELBO,
    ImportanceWeightedMaskedELBO,
)
from consilience.inference.likelihood import (
    LogLikelihood,
    conditional_log_likelihood,
    log_likelihood,
)
from consilience.inference.masked_elbo import MaskedELBO
from consilience.inference.mixture_elbo import MixtureELBO
from consilience.inference.posterior import generate, generate_from_prior, posterior
from consilience.inference.presets import (
    PRESETS,
    Method,
    Networks,
    masked,
    mmjsd,
    mmvae,
    mmvae_plus,
    mopoe,
    mvae,
    mvtcae,
)
from consilience.inference.reliability import Reliability
from consilience.inference.subsampled import SubsampledELBO
from consilience.inference.subsets import (
    SUBSETS,
    BySize,
    Fixed,
    Hierarchical,
    Independent,
    UniformNonEmpty,
    Unimodal,
)
from consilience.inference.terms import Terms, Views
from consilience.inference.total_correlation import (
    InterpolatedTotalCorrelationELBO,
    TotalCorrelationELBO,
)

__all__ = [
    "BOUNDS",
    "ESTIMATORS",
    "PRESETS",
    "STL",
    "SUBSETS",
    "AnalyticKL",
    "AnnealingSchedule",
    "AuxiliaryMixtureOfExpertsELBO",
    "BySize",
    "ConsistentELBO",
    "DReG",
    "Estimator",
    "Fixed",
    "Hierarchical",
    "ImportanceWeightedELBO",
    "ImportanceWeightedMaskedELBO",
    "Independent",
    "InterpolatedTotalCorrelationELBO",
    "JensenShannonELBO",
    "LogLikelihood",
    "MaskedELBO",
    "Method",
    "MixtureELBO",
    "MixtureOfExpertsELBO",
    "MultimodalELBO",
    "Networks",
    "Pathwise",
    "PublishedDReG",
    "Reliability",
    "SubsampledELBO",
    "Terms",
    "TotalCorrelationELBO",
    "UniformNonEmpty",
    "Unimodal",
    "Views",
    "annealed_log_likelihood",
    "attention_weights",
    "conditional_log_likelihood",
    "generate",
    "generate_from_prior",
    "log_likelihood",
    "masked",
    "maximum_mean_discrepancy",
    "mmjsd",
    "mmvae",
    "mmvae_plus",
    "mopoe",
    "mvae",
    "mvtcae",
    "posterior",
    "to_datatree",
]
