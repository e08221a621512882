"""Training: `fit`, and what it returns."""

from consilience.training.fit import fit, validation_bound
from consilience.training.fitted import Fitted
from consilience.training.history import History

__all__ = ["Fitted", "History", "fit", "validation_bound"]
