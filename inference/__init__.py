"""Bounds, training, and what to do with a trained posterior."""
from consilience.inference.elbo import MultimodalELBO, Terms, Views
from consilience.inference.estimators import ESTIMATORS, STL, AnalyticKL, Pathwise
from consilience.inference.masked import BOUNDS, MaskedELBO
from consilience.inference.subsets import SUBSETS, Fixed, Hierarchical, Independent, Unimodal, UniformNonEmpty
