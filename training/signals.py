"""Stopping a training that keeps checkpoints: Ctrl-C, or a cluster that wants its node."""

import signal
import sys
import threading


class Signals:
    """Holds SIGINT and SIGTERM back until a checkpoint is written; a context.

    A second one acts at once, as it would without. Outside the main thread, where Python
    lets no one handle signals, and before the context begins nothing is held back.
    """

    HELD = (signal.SIGINT, signal.SIGTERM)

    def __init__(self):
        self.came: int | None = None
        self._before: dict = {}

    def __enter__(self) -> "Signals":
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._hold) for s in self.HELD}
        return self

    def __exit__(self, *_) -> None:
        self._restore()

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

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}
