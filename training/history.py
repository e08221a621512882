"""The course of a training, epoch by epoch."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class History(NamedTuple):
    """Bounds by epoch, in nats a row, in the units that the model was trained in.

    Attributes:
        bound: mean over the epoch's steps.
        validation: of the held-out rows; empty without any.
    """

    bound: Float[np.ndarray, " epochs"]
    validation: Float[np.ndarray, " epochs"]
