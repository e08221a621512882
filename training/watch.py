"""Who looks on while a training runs: a progress bar, loggers, callbacks."""

import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from consilience.training.history import Epoch
from consilience.training.loggers import Logger
from consilience.training.processes import speaks

Callback = Callable[[Epoch, object], bool | None]


@dataclasses.dataclass(frozen=True)
class Watch:
    """Loggers and callbacks, after each epoch.

    Of several processes only the first one has any.

    Attributes:
        loggers: see `Logger`.
        callbacks: `callback(epoch, fitted)`; one that returns True ends the training.
    """

    loggers: Sequence[Logger] = ()
    callbacks: Sequence[Callback] = ()
    _opened: ExitStack = dataclasses.field(
        default_factory=ExitStack, init=False, repr=False, compare=False
    )

    def __post_init__(self):
        _require_sequence("loggers", self.loggers)
        _require_sequence("callbacks", self.callbacks)
        for logger in self.loggers:
            if isinstance(logger, type) or not isinstance(logger, Logger):
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
        """A run begins (None), or goes on; `step` as `Logger.open` has it.

        Those that are open are closed again if one refuses.
        """
        if not speaks():
            return
        with ExitStack() as stack:
            for logger in self.loggers:
                logger.open(step)
                stack.callback(logger.close)
            self._opened.push(stack.pop_all())

    def epoch(self, record: Epoch, fitted: Callable[[], object]) -> bool:
        """Show an epoch to all of them; whether one says stop.

        Raises:
            TypeError: a callback returned what is neither True nor False nor None.
        """
        if not speaks():
            return False
        for logger in self.loggers:
            logger.log(record.step, record._asdict())
        now = fitted() if self.callbacks else None
        said = [_answer(callback(record, now)) for callback in self.callbacks]
        return any(said)

    def close(self) -> None:
        """The run is over, or was stopped."""
        self._opened.close()


def _require_sequence(name: str, value: object) -> None:
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise TypeError(f"{name}: expected a list of them, got {value!r}")


def _answer(said: object) -> bool:
    if said is None:
        return False
    if np.shape(said) == () and np.asarray(said).dtype == bool:
        return bool(said)
    raise TypeError(
        f"callbacks: expected True to end the training, False or None, got {said!r}"
    )


class Bar:
    """Share of rows seen, rows a second, and the numbers of the last epoch.

    Args:
        shown: whether to show it at all.
        total: rows of all epochs.
        done: rows that a resumed run has seen already.
    """

    FORMAT = (
        "{desc}{percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {rate_fmt}{postfix}"
    )
    NUMBERS = ("bound", "validation", "rate", "reconstruction")
    EVERY = 0.1  # seconds: short epochs are not all shown

    def __init__(self, shown: bool, total: int, done: int):
        settings = {"unit": " rows", "unit_scale": True, "smoothing": 0.1}
        settings |= {"bar_format": self.FORMAT, "disable": not shown}
        self.bar = _tqdm()(total=total, initial=done, **settings)
        self._shown = -math.inf

    def advance(self, rows: int) -> None:
        """Some rows more."""
        self.bar.update(rows)

    def show(self, record: Epoch, num_epochs: int) -> None:
        """An epoch's numbers."""
        if self.bar.disable:
            return
        epoch = f"epoch {record.epoch + 1}/{num_epochs}"
        self.bar.set_description(epoch, refresh=False)
        numbers = {n: getattr(record, n) for n in self.NUMBERS}
        shown = [f"{n} {x:.2f}" for n, x in numbers.items() if not math.isnan(x)]
        if record.skipped:
            shown.append(f"{record.skipped} steps skipped")
        self.bar.set_postfix_str(", ".join(shown), refresh=False)
        if time.monotonic() - self._shown >= self.EVERY:
            self._shown = time.monotonic()
            self.bar.refresh()

    def close(self) -> None:
        """Leave the last line."""
        self.bar.close()


def _tqdm() -> type:
    """The bar of terminals, or that of notebooks if what it is made of is there."""
    from importlib.util import find_spec

    if find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm
