"""The walk over epochs and segments, on the host."""

import dataclasses
import math
import time
import warnings
from collections.abc import Callable, Iterator
from functools import cached_property

import jax
import jax.numpy as jnp
import numpy as np
from numpyro.infer import SVI

from consilience.datasets.data import MultimodalData
from consilience.nn.executables import Program
from consilience.training import guard
from consilience.training.checkpoints import CheckpointStore
from consilience.training.devices import local
from consilience.training.fitted import Fitted
from consilience.training.history import Epoch
from consilience.training.processes import largest, speaks, together
from consilience.training.run import Run, Sums
from consilience.training.signals import Signals
from consilience.training.sources import Source
from consilience.training.steps import Settings, segments
from consilience.training.stopping import EarlyStopping, better
from consilience.training.watch import Bar, Lines, Watch


@dataclasses.dataclass(frozen=True)
class Loop:
    """What a training does, over and over.

    Attributes:
        svi: model, guide, optimiser, bound.
        source: of batches.
        settings: of the device program.
        schema: one training row.
        row_names: of the training rows, or empty.
        num_epochs: passes over the rows.
        segment: most steps of a device program.
        validate: the validation bound of a state, or None.
        stopping: early stopping, or None.
        store: of checkpoints, or None.
        watch: loggers and callbacks.
        signals: that ask the training to stop.
    """

    svi: SVI
    source: Source
    settings: Settings
    schema: MultimodalData
    row_names: tuple[str, ...]
    num_epochs: int
    segment: int
    validate: Callable | None = None
    stopping: EarlyStopping | None = None
    store: CheckpointStore | None = None
    watch: Watch = dataclasses.field(default_factory=Watch)
    signals: Signals = dataclasses.field(default_factory=Signals)

    @cached_property
    def program(self) -> Program:
        """A segment on the device, traced once for each number of steps."""
        return segments(self.svi, self.source.take, self.settings)

    def train(self, run: Run, bar: Bar | Lines) -> None:
        """Walk to the end, or to where something says stop; `run` is changed."""
        before = run.skipped
        run.stopped = self._enough(run)
        while run.epoch < self.num_epochs and not run.stopped:
            for start, stop in self.segments(run.step):
                self._segment(run, start, stop)
                bar.advance((stop - start) * self.source.order.batch_size)
            self._end_epoch(run)
            bar.show(run.epochs[-1], self.num_epochs)
        if self.store is not None:
            self._save(run)
        if run.skipped > before and speaks():
            warnings.warn(
                f"fit: {run.skipped} of {run.done} steps were skipped, since they were not "
                "finite; history.skipped counts them by epoch",
                stacklevel=5,
            )

    def segments(self, start: int) -> Iterator[tuple[int, int]]:
        """Pieces of an epoch as even as can be, from one that begins at `start`."""
        steps, size = self.source.order.num_steps, self._size
        for first in range(start, steps, size):
            yield first, min(first + size, steps)

    @property
    def _size(self) -> int:
        """Steps of a segment: an epoch is cut as evenly as can be."""
        steps = self.source.order.num_steps
        return math.ceil(steps / math.ceil(steps / self.segment))

    def _segment(self, run: Run, start: int, stop: int) -> None:
        began = time.perf_counter()
        with together():
            chunk = self.source.chunk(run.epoch, start, stop)
        given = (self.source.resident, run.state, chunk, run.done)
        state, steps = self.program(*given)
        bound, reconstruction, finite = jax.device_get(steps)
        seen = np.isfinite(bound)
        idle = stop == self.source.order.num_steps and not (
            run.sums.count or seen.any()
        )
        good = (seen.all() or self.settings.skip) and not idle
        if not (good and finite):
            self._stop_at(run, chunk, (bound, reconstruction), idle)
        run.sums.add(bound, reconstruction, time.perf_counter() - began)
        run.state, run.step, run.done = state, stop, run.done + stop - start
        if self.store is not None:
            self._keep(run)

    def _keep(self, run: Run) -> None:
        """Save what is due; stop if a process was told to, behind a checkpoint."""
        asked, due = self.signals.asked(), largest(self.store.due(run.done, self._size))
        if asked or due:
            self._save(run)
        if asked:  # a signal that came since then waits: other processes do not know
            self.signals.obey()

    def _save(self, run: Run) -> None:
        with together():
            run.save(self.store)

    def _stop_at(self, run: Run, chunk: object, values: tuple, idle: bool) -> None:
        """Name the step that is not finite, keep the state before it, raise.

        `idle`: every step of the epoch was skipped; then the first of them is named.
        """
        settings = self.settings._replace(skip=self.settings.skip and not idle)
        given = (self.source, settings, run.state, chunk)
        culprit = guard.find(self.svi, *given, (run.epoch, run.step, run.done))
        run.sums.add(*(v[: culprit.offset] for v in values), 0.0)
        run.state, count = culprit.state, culprit.offset
        run.step, run.done = run.step + count, run.done + count
        place = self._place(run)
        if self.settings.skip and idle:
            place += ", of which every step had to be skipped"
        text = guard.message(culprit, place, self.settings.skip, self._row)
        if self.store is not None:
            self._save(run)
            text += (
                f". The state before that step is the last checkpoint in "
                f"{self.store.folder}; resume=True goes on from it"
            )
        raise guard.NonFiniteError(
            text, run.done, culprit.term, culprit.rows, self.fitted(run)
        )

    def _place(self, run: Run) -> str:
        steps = f"{run.done} step" + ("" if run.done == 1 else "s")
        return f"after {steps}, in epoch {run.epoch + 1} of {self.num_epochs}"

    def _row(self, index: int) -> str:
        return f"{index} ({self.row_names[index]!r})" if self.row_names else str(index)

    def _end_epoch(self, run: Run) -> None:
        validation = math.nan if self.validate is None else self.validate(run.state)
        run.epochs.append(self._record(run, validation))
        if run.best_epoch < 0 or better(
            validation, run.epochs[run.best_epoch].validation
        ):
            run.best, run.best_epoch = run.state, run.epoch
        run.epoch, run.step, run.sums = run.epoch + 1, 0, Sums()
        with together():
            said = self.watch.epoch(run.epochs[-1], lambda: self.fitted(run))
        run.stopped = bool(largest(self._enough(run) or said))

    def _enough(self, run: Run) -> bool:
        return self.stopping is not None and self.stopping.enough(run.validations)

    def _record(self, run: Run, validation: float) -> Epoch:
        bound, reconstruction = run.sums.means()
        beta = self.settings.beta
        seconds = run.sums.seconds
        rows = run.step * self.source.order.batch_size
        return Epoch(
            epoch=run.epoch,
            step=run.done,
            bound=bound,
            reconstruction=reconstruction,
            rate=reconstruction - bound,
            beta=math.nan if beta is None else float(beta(jnp.array(run.done - 1))),
            validation=validation,
            skipped=run.sums.skipped,
            seconds=seconds,
            rows_per_second=rows / seconds,
        )

    def fitted(self, run: Run) -> Fitted:
        """The fit as it stands; its best state if validation has told one."""
        best = run.best if self.validate is not None and run.best_epoch >= 0 else None
        state, best = local((run.state, best))
        return Fitted(self.svi, state, run.history, self.schema, best)
