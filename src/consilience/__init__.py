"""Amortised Bayesian inference for multi-modal data, as NumPyro programs."""

from consilience.datasets import *  # noqa: F403
from consilience.datasets import __all__ as _datasets
from consilience.evaluation import *  # noqa: F403
from consilience.evaluation import __all__ as _evaluation
from consilience.guides import *  # noqa: F403
from consilience.guides import __all__ as _guides
from consilience.inference import *  # noqa: F403
from consilience.inference import __all__ as _inference
from consilience.models import *  # noqa: F403
from consilience.models import __all__ as _models
from consilience.nn import *  # noqa: F403
from consilience.nn import __all__ as _nn
from consilience.training import *  # noqa: F403
from consilience.training import __all__ as _training

__version__ = "0.1.0"
__all__ = [*_datasets, *_evaluation, *_guides, *_inference, *_models, *_nn, *_training]
