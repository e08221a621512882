"""What a training is at any moment: all that a resumed one needs to know."""

import dataclasses
import operator
from typing import TYPE_CHECKING

import numpy as np
from numpyro.infer.svi import SVIState

from consilience.training.devices import local
from consilience.training.history import Epoch, History

if TYPE_CHECKING:
    from consilience.training.checkpoints import CheckpointStore


@dataclasses.dataclass
class Sums:
    """Over the steps of an epoch so far; skipped ones are not in the means."""

    bound: float = 0.0
    reconstruction: float = 0.0
    count: int = 0
    skipped: int = 0
    seconds: float = 0.0

    def add(
        self, bound: np.ndarray, reconstruction: np.ndarray, seconds: float
    ) -> None:
        """Take in a segment."""
        good = np.isfinite(bound)
        self.bound += float(bound[good].sum(dtype=float))
        self.reconstruction += float(reconstruction[good].sum(dtype=float))
        self.count += int(good.sum())
        self.skipped += int((~good).sum())
        self.seconds += seconds

    def means(self) -> tuple[float, float]:
        """Bound and reconstruction; NaN if every step was skipped."""
        count = self.count or np.nan
        return self.bound / count, self.reconstruction / count


@dataclasses.dataclass
class Run:
    """Where a training stands.

    Attributes:
        state: of SVI.
        best: the state with the highest validation bound; the first one until there is one.
        epoch: the epoch it is in.
        step: steps of that epoch that are done.
        done: steps that are done in all.
        sums: over the steps of that epoch.
        epochs: records of those before.
        best_epoch: the epoch of `best`, −1 if none yet.
        stopped: early stopping or a callback has ended it; judged anew when it goes on.
    """

    state: SVIState
    best: SVIState
    epoch: int = 0
    step: int = 0
    done: int = 0
    sums: Sums = dataclasses.field(default_factory=Sums)
    epochs: list[Epoch] = dataclasses.field(default_factory=list)
    best_epoch: int = -1
    stopped: bool = False

    @property
    def history(self) -> History:
        """Of the epochs that are over."""
        return History.of(self.epochs)

    @property
    def logged(self) -> int:
        """Steps taken when the last of them ended: loggers have seen no later one."""
        return self.epochs[-1].step if self.epochs else 0

    @property
    def skipped(self) -> int:
        """Steps so far that were left out."""
        return self.sums.skipped + sum(epoch.skipped for epoch in self.epochs)

    @property
    def validations(self) -> list[float]:
        """Validation bounds so far."""
        return [e.validation for e in self.epochs]

    def tree(self) -> dict[str, SVIState]:
        """Its arrays, on one device."""
        return local({"state": self.state, "best": self.best})

    def header(self) -> dict:
        """Everything else, as JSON has it."""
        kept = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        del kept["state"], kept["best"], kept["stopped"]
        return kept | {
            "sums": dataclasses.asdict(self.sums),
            "epochs": [list(e) for e in self.epochs],
        }

    def save(self, store: "CheckpointStore") -> None:
        """Write a checkpoint."""
        store.save(self.done, self.header(), self.tree())

    def restore(self, header: dict, tree: dict) -> None:
        """Become what a checkpoint says.

        Raises:
            ValueError: the header is none of ours.
        """
        found = self.header()
        try:
            found |= {name: header[name] for name in found}
            for name in ("epoch", "step", "done", "best_epoch"):
                found[name] = int(operator.index(found[name]))
            found["sums"] = Sums(**header["sums"])
            found["epochs"] = [Epoch(*e) for e in header["epochs"]]
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                "expected the header of a checkpoint that `fit` wrote, got "
                f"another ({type(error).__name__}: {error}); move the file away"
            ) from error
        self.state, self.best = tree["state"], tree["best"]
        for name, value in found.items():
            setattr(self, name, value)
