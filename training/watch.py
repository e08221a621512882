"""Who looks on while a training runs: a progress bar, loggers, callbacks."""

import dataclasses
import math
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack

import numpy as np

from consilience.training.history import Epoch
from consilience.training.loggers import Logger
from consilience.training.processes import speaks

Callback = Callable[[Epoch, object], bool | None]
NUMBERS = ("bound", "validation", "rate", "reconstruction")  # shown of an epoch


@dataclasses.dataclass(frozen=True)
class Watch:
    """Loggers and callbacks, after each epoch.

    A logger that fails after it was opened is left out from then on, with a warning; what a
    callback raises ends the training.
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
    _failed: set[int] = dataclasses.field(
        default_factory=set, init=False, repr=False, compare=False
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
                stack.callback(_close, logger)
            self._opened.push(stack.pop_all())

    def epoch(self, record: Epoch, fitted: Callable[[], object]) -> bool:
        """Show an epoch to all of them; whether one says stop.

        Raises:
            TypeError: a callback returned what is neither True nor False nor None.
        """
        if not speaks():
            return False
        for logger in self.loggers:
            if id(logger) not in self._failed:
                self._log(logger, record)
        now = fitted() if self.callbacks else None
        said = [_answer(callback(record, now)) for callback in self.callbacks]
        return any(said)

    def _log(self, logger: Logger, record: Epoch) -> None:
        """One that fails is said once and left out: a training is worth more."""
        try:
            logger.log(record.step, record._asdict())
        except Exception as error:
            self._failed.add(id(logger))
            _warn(
                logger, error, f"log epoch {record.epoch + 1}; it gets no more of them"
            )

    def close(self) -> None:
        """The run is over, or was stopped."""
        self._opened.close()


def _close(logger: Logger) -> None:
    try:
        logger.close()
    except Exception as error:
        _warn(logger, error, "close; the training is not touched by it")


def _warn(logger: Logger, error: Exception, what: str) -> None:
    said = f"{type(error).__name__}: {error}".removesuffix(": ")
    warnings.warn(
        f"loggers: {type(logger).__name__} could not {what} ({said})", stacklevel=4
    )


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


def progress(shown: bool, total: int, done: int) -> "Bar | Lines":
    """A bar where lines can be drawn anew: terminals and notebooks; else `Lines`.

    Arguments are those of `Bar`.
    """
    drawn = _in_notebook() or (
        sys.stderr is not None
        and sys.stderr.isatty()
        and os.environ.get("TERM") not in ("dumb", "unknown")
    )
    return Bar(shown, total, done) if drawn or not shown else Lines()


def _in_notebook() -> bool:
    """Whether this is a kernel; what it prints is no terminal's."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return any(made.__name__ == "ZMQInteractiveShell" for made in type(shell).__mro__)


class Lines:
    """For files and pipes: a line for a block of epochs, a twentieth of them.

    Longer blocks than a minute have a line a minute.
    """

    BLOCKS, SECONDS = 20, 60.0

    def __init__(self):
        self._began = self._said = time.monotonic()
        self._waiting: str | None = None

    def advance(self, rows: int) -> None:
        """Nothing is said within an epoch."""

    def show(self, record: Epoch, num_epochs: int) -> None:
        """An epoch's numbers, if its block ends here."""
        epoch, now = record.epoch + 1, time.monotonic()
        passed = f"{int(now - self._began)} s"
        self._waiting = f"epoch {epoch}/{num_epochs}: {_numbers(record)}, {passed}"
        ends = epoch % math.ceil(num_epochs / self.BLOCKS) == 0
        if ends or now - self._said >= self.SECONDS:
            self._said = now
            self.close()

    def close(self) -> None:
        """Say the last epoch that was not said."""
        if self._waiting is not None:
            print(self._waiting, file=sys.stderr, flush=True)
        self._waiting = None


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
        self.bar.set_postfix_str(_numbers(record), refresh=False)
        if time.monotonic() - self._shown >= self.EVERY:
            self._shown = time.monotonic()
            self.bar.refresh()

    def close(self) -> None:
        """Leave the last line."""
        self.bar.close()


def _numbers(record: Epoch) -> str:
    numbers = {n: getattr(record, n) for n in NUMBERS}
    shown = [f"{n} {x:.2f}" for n, x in numbers.items() if not math.isnan(x)]
    if record.skipped:
        shown.append(f"{record.skipped} steps skipped")
    return ", ".join(shown)


def _tqdm() -> type:
    """The bar of terminals, or that of notebooks if what it is made of is there."""
    from importlib.util import find_spec

    if find_spec("ipywidgets") is None:
        from tqdm import tqdm
    else:
        from tqdm.auto import tqdm
    return tqdm
