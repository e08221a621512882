"""Who looks on while a training runs: a progress bar, loggers, callbacks."""

import dataclasses
import math
from collections.abc import Callable, Sequence

from consilience.training.history import Epoch
from consilience.training.loggers import Logger

Callback = Callable[[Epoch, object], bool | None]


@dataclasses.dataclass(frozen=True)
class Watch:
    """Loggers and callbacks, after each epoch.

    Attributes:
        loggers: see `Logger`.
        callbacks: `callback(epoch, fitted)`; one that returns True ends the training.
    """

    loggers: Sequence[Logger] = ()
    callbacks: Sequence[Callback] = ()

    def __post_init__(self):
        for logger in self.loggers:
            if not isinstance(logger, Logger):
                raise TypeError(
                    "loggers: expected objects with open, log and close, such as "
                    f"JSONLines(path), got {logger!r}"
                )
        for callback in self.callbacks:
            if not callable(callback):
                raise TypeError(
                    f"callbacks: expected functions (epoch, fitted), got {callback!r}"
                )

    def open(self, step: int | None) -> None:
        """A run begins, or goes on after `step` steps."""
        for logger in self.loggers:
            logger.open(step)

    def epoch(self, record: Epoch, fitted: Callable[[], object]) -> bool:
        """Show an epoch to all of them; whether one says stop."""
        for logger in self.loggers:
            logger.log(record.step, record._asdict())
        answers = [callback(record, fitted()) for callback in self.callbacks]
        return any(answer is True for answer in answers)

    def close(self) -> None:
        """The run is over, or was stopped."""
        for logger in self.loggers:
            logger.close()


class Bar:
    """Rows seen and rows a second, with bound, reconstruction, rate and validation.

    Args:
        shown: whether to show it at all.
        total: rows of all epochs.
        done: rows that a resumed run has seen already.
    """

    def __init__(self, shown: bool, total: int, done: int):
        from tqdm.auto import tqdm

        settings = {"unit": "row", "unit_scale": True, "smoothing": 0.1}
        self.bar = tqdm(total=total, initial=done, disable=not shown, **settings)

    def advance(self, rows: int) -> None:
        """Some rows more."""
        self.bar.update(rows)

    def show(self, record: Epoch, num_epochs: int) -> None:
        """An epoch's numbers."""
        self.bar.set_description(
            f"epoch {record.epoch + 1}/{num_epochs}", refresh=False
        )
        names = ("bound", "reconstruction", "rate", "validation")
        numbers = {n: getattr(record, n) for n in names}
        shown = {n: f"{x:.2f}" for n, x in numbers.items() if not math.isnan(x)}
        if record.skipped:
            shown["skipped"] = str(record.skipped)
        self.bar.set_postfix(shown)

    def close(self) -> None:
        """Leave the last line."""
        self.bar.close()
