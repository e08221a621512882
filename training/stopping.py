"""When enough is enough: early stopping on the validation bound."""

import dataclasses
import math

from consilience.nn.sizes import check_positive


@dataclasses.dataclass(frozen=True)
class EarlyStopping:
    """Stop once the validation bound has not risen for `patience` epochs.

    The state with the highest validation bound is kept apart: `fitted.best`.

    Attributes:
        patience: epochs without a rise.
        min_delta: nats a row by which the bound must rise to count.
        start_epoch: the first epoch that counts, for bounds whose β is still rising.

    Raises:
        ValueError: a setting out of its range.
    """

    patience: int = 20
    min_delta: float = 0.0
    start_epoch: int = 0

    def __post_init__(self):
        check_positive(patience=self.patience)
        if not 0 <= self.min_delta < math.inf:
            raise ValueError(
                f"min_delta: expected a number of 0 or more, got {self.min_delta!r}"
            )
        if not isinstance(self.start_epoch, int) or self.start_epoch < 0:
            raise ValueError(
                f"start_epoch: expected a whole number of 0 or more, got "
                f"{self.start_epoch!r}"
            )

    def waited(self, validation: list[float]) -> int:
        """Epochs since the last rise."""
        best, waited = -math.inf, 0
        for value in validation[self.start_epoch :]:
            rose = value > best + self.min_delta
            best, waited = (value, 0) if rose else (best, waited + 1)
        return waited

    def enough(self, validation: list[float]) -> bool:
        """Whether the bounds so far say stop."""
        return self.waited(validation) >= self.patience
