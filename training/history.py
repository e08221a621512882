"""The course of a training, epoch by epoch."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float, Int

if TYPE_CHECKING:
    from pandas import DataFrame

NONE = np.zeros(0)


class Epoch(NamedTuple):
    """What loggers, callbacks and early stopping see of an epoch. Nats are a row's.

    Attributes:
        epoch: its number, from 0.
        step: steps taken when it ends, those of earlier epochs too.
        bound: mean over the epoch's steps, in the units that the model was trained in.
        reconstruction: Σ score · log p(x_s | z), weighted as in the bound; NaN for a bound
            that is none of ours.
        rate: reconstruction − bound, all that the bound takes off, times β.
        beta: at the epoch's last step; NaN if the bound's own.
        validation: bound of the held-out rows; NaN without any.
        skipped: steps that were left out for not being finite.
        seconds: of training, without validation.
        rows_per_second: rows seen a second.
    """

    epoch: int
    step: int
    bound: float
    reconstruction: float
    rate: float
    beta: float
    validation: float
    skipped: int
    seconds: float
    rows_per_second: float


class History(NamedTuple):
    """Columns by epoch, as in `Epoch`; nats are a row's. `to_frame()` is the table.

    Attributes:
        bound: mean over the epoch's steps.
        validation: of the held-out rows; empty without any.
        reconstruction: Σ score · log p(x_s | z); empty for a bound that is none of ours.
        rate: reconstruction − bound; likewise.
        beta: at the epoch's last step; empty if it is the bound's own.
        step: steps taken when the epoch ends.
        skipped: steps that were left out.
        seconds: of training.
    """

    bound: Float[np.ndarray, " epochs"]
    validation: Float[np.ndarray, " epochs"] = NONE
    reconstruction: Float[np.ndarray, " epochs"] = NONE
    rate: Float[np.ndarray, " epochs"] = NONE
    beta: Float[np.ndarray, " epochs"] = NONE
    step: Int[np.ndarray, " epochs"] = NONE.astype(int)
    skipped: Int[np.ndarray, " epochs"] = NONE.astype(int)
    seconds: Float[np.ndarray, " epochs"] = NONE

    @classmethod
    def of(cls, epochs: Iterable[Epoch]) -> "History":
        """Columns of the records; those that hold nothing are empty."""
        records = list(epochs)
        kinds = {"step": int, "skipped": int}
        columns = {
            name: np.array([getattr(e, name) for e in records], kinds.get(name, float))
            for name in cls._fields
        }
        for name in ("validation", "reconstruction", "rate", "beta"):
            if np.isnan(columns[name]).all():
                columns[name] = NONE
        return cls(**columns)

    @property
    def best_epoch(self) -> int | None:
        """The epoch with the highest validation bound, the first one of equals.

        None without held-out rows.
        """
        if np.isnan(self.validation).all():
            return None
        return int(np.nanargmax(self.validation))

    def to_frame(self) -> "DataFrame":
        """A table with a row an epoch; columns that hold nothing are left out."""
        from pandas import DataFrame

        columns = {
            name: values for name, values in self._asdict().items() if len(values)
        }
        frame = DataFrame(columns)
        frame.index.name = "epoch"
        return frame
