"""Training: `fit` and all around it, and what it returns."""

from consilience.training.archive import ArchiveError
from consilience.training.checkpoints import Checkpoints
from consilience.training.fit import fit
from consilience.training.fitted import Fitted
from consilience.training.guard import NonFiniteError
from consilience.training.history import Epoch, History
from consilience.training.loggers import (
    JSONLines,
    Logger,
    TensorBoard,
    WeightsAndBiases,
)
from consilience.training.saved import load
from consilience.training.schedules import adam, cyclical, warm_up
from consilience.training.stopping import EarlyStopping
from consilience.training.validation import validation_bound

__all__ = [
    "ArchiveError",
    "Checkpoints",
    "EarlyStopping",
    "Epoch",
    "Fitted",
    "History",
    "JSONLines",
    "Logger",
    "NonFiniteError",
    "TensorBoard",
    "WeightsAndBiases",
    "adam",
    "cyclical",
    "fit",
    "load",
    "validation_bound",
    "warm_up",
]
