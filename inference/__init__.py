"""Bounds, training, and what to do with a trained posterior."""

from consilience.inference.attention import attention_weights
from consilience.inference.datatree import to_datatree
from consilience.inference.elbo import MultimodalELBO
from consilience.inference.estimators import (
    ESTIMATORS,
    STL,
    AnalyticKL,
    Estimator,
    Pathwise,
)
from consilience.inference.fitted import Fitted, History
from consilience.inference.likelihood import LogLikelihood, log_likelihood
from consilience.inference.masked import BOUNDS, MaskedELBO
from consilience.inference.posterior import generate, generate_from_prior, posterior
from consilience.inference.subsets import (
    SUBSETS,
    Fixed,
    Hierarchical,
    Independent,
    UniformNonEmpty,
    Unimodal,
)
from consilience.inference.terms import Terms, Views
from consilience.inference.training import fit, validation_bound

__all__ = [
    "BOUNDS",
    "ESTIMATORS",
    "STL",
    "SUBSETS",
    "AnalyticKL",
    "Estimator",
    "Fitted",
    "Fixed",
    "Hierarchical",
    "History",
    "Independent",
    "LogLikelihood",
    "MaskedELBO",
    "MultimodalELBO",
    "Pathwise",
    "Terms",
    "UniformNonEmpty",
    "Unimodal",
    "Views",
    "attention_weights",
    "fit",
    "generate",
    "generate_from_prior",
    "log_likelihood",
    "posterior",
    "to_datatree",
    "validation_bound",
]
