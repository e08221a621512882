"""When enough is enough: early stopping on the validation bound."""

import dataclasses
import math
from collections.abc import Sequence

from consilience.nn.sizes import check_numbers, check_positive, check_whole


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop once the validation bound has not risen for `patience` epochs.

    The state with the highest validation bound is kept apart, whatever the settings here:
    `fitted.best`. A bound that is NaN has not risen.

    Attributes:
        patience: epochs without a rise.
        min_delta: nats a row by which the bound must rise above the last rise to count.
        start_epoch: the first epoch that counts, for bounds whose β is still rising.

    Raises:
        ValueError: a setting out of its range.
    """

    patience: int = 20
    min_delta: float = 0.0
    start_epoch: int = 0

    def __post_init__(self):
        check_positive(patience=self.patience)
        check_numbers(zero=True, min_delta=self.min_delta)
        check_whole(start_epoch=self.start_epoch)

    def waited(self, validation: Sequence[float]) -> int:
        """Epochs since the last rise."""
        best, waited = -math.inf, 0
        for value in validation[self.start_epoch :]:
            rose = value > best + self.min_delta
            best, waited = (value, 0) if rose else (best, waited + 1)
        return waited

    def enough(self, validation: Sequence[float]) -> bool:
        """Whether the bounds so far say stop."""
        return self.waited(validation) >= self.patience


def better(validation: float, best: float) -> bool:
    """Whether a validation bound takes the place of the best so far; only finite ones do."""
    return math.isfinite(validation) and not validation <= best
