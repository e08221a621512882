"""Stopping a training that keeps checkpoints: Ctrl-C, or a cluster that wants its node."""

import os
import signal
import sys
import threading
from contextlib import suppress

from consilience.training.processes import largest


class Signals:
    """Holds SIGINT and SIGTERM back until a checkpoint is written; a context.

    A second one acts at once, as it would without. Nothing is held back before the context
    begins, outside the main thread, where Python lets no one handle signals, and of
    signals that the process was started to ignore. One that came too late for a checkpoint
    acts when the context ends.

    Attributes:
        came: the number of the signal that is held, or None.
    """

    HELD = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.came: int | None = None
        self._before: dict = {}

    def __enter__(self) -> "Signals":
        self.came = None
        if threading.current_thread() is threading.main_thread():
            held = [s for s in self.HELD if signal.getsignal(s) != signal.SIG_IGN]
            self._before = {s: signal.signal(s, self._hold) for s in held}
        return self

    def __exit__(self, kind: type | None, *_) -> None:
        self._restore()
        if kind is None:
            self.obey()

    def asked(self) -> bool:
        """Whether a signal came, to this process or to another; all of them must ask."""
        self.came = largest(self.came or 0) or None
        return self.came is not None

    def obey(self) -> None:
        """Act on the signal that came, if one did.

        Raises:
            KeyboardInterrupt: it was SIGINT.
            SystemExit: it was SIGTERM; the exit code is 143.
        """
        if self.came is None:
            return
        if self.came == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + self.came)

    def _hold(self, number: int, frame) -> None:
        self.came = number
        self._restore()
        name = signal.Signals(number).name
        text = (
            f"\nfit: {name}: stops behind the next checkpoint; again to stop at once\n"
        )
        with suppress(OSError):
            os.write(2, text.encode())  # safe inside a handler

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}
