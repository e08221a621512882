"""Where the numbers of a training go besides its history."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

Numbers = Mapping[str, float]


@runtime_checkable
class Logger(Protocol):
    """Takes the numbers of each epoch."""

    def open(self, step: int | None) -> None:
        """A run begins (None), or goes on after `step` steps: later ones will come again.

        Raises:
            ValueError: a run begins where another one has been logged.
        """

    def log(self, step: int, numbers: Numbers) -> None:
        """Take the fields of an `Epoch` by name."""

    def close(self) -> None:
        """The run ends, or was stopped."""


class JSONLines:
    """A file with a JSON object an epoch, written as it happens. The default logger.

    A run that goes on from a checkpoint takes the lines of later steps out first; a new
    one refuses a file with lines. Numbers that are not finite are null.

    Args:
        path: the file; its folder is made.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)

    def open(self, step: int | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        lines = self._lines()
        if step is None and lines:
            raise ValueError(
                f"path: {self.path} holds the log of another run; expected a new file"
            )
        kept = [line for line in lines if _step(line) <= (step or 0)]
        partial = self.path.with_name(f".{self.path.name}.partial")
        partial.write_text("".join(line + "\n" for line in kept))
        partial.replace(self.path)

    def log(self, step: int, numbers: Numbers) -> None:
        finite = {n: x if math.isfinite(x) else None for n, x in numbers.items()}
        with open(self.path, "a") as file:
            file.write(json.dumps(finite) + "\n")

    def close(self) -> None:
        """Every line is on disk already."""

    def _lines(self) -> list[str]:
        """Whole lines; the last one may have been cut off."""
        if not self.path.exists():
            return []
        return [line for line in self.path.read_text().splitlines() if _step(line) >= 0]


def _step(line: str) -> int:
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1


class TensorBoard:
    """Scalars for TensorBoard, by tensorboardX; `pip install 'consilience[tensorboard]'`.

    Args:
        folder: of the event files.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | Path):
        self.folder, self.writer = Path(folder), None
        _require("tensorboardX", "tensorboard")

    def open(self, step: int | None) -> None:
        from tensorboardX import SummaryWriter

        self.writer = SummaryWriter(str(self.folder), purge_step=step or None)

    def log(self, step: int, numbers: Numbers) -> None:
        for name, value in numbers.items():
            if math.isfinite(value):
                self.writer.add_scalar(name, value, step)
        self.writer.flush()

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; `pip install 'consilience[wandb]'`.

    Args:
        settings: of `wandb.init`: `project`, `name`, `id` and `resume` to go on.

    Raises:
        ImportError: wandb is not installed.
    """

    def __init__(self, **settings):
        self.settings, self.run = settings, None
        _require("wandb", "wandb")

    def open(self, step: int | None) -> None:
        import wandb

        self.run = wandb.init(**self.settings)

    def log(self, step: int, numbers: Numbers) -> None:
        finite = {n: x for n, x in numbers.items() if math.isfinite(x)}
        self.run.log(finite, step=step)

    def close(self) -> None:
        self.run.finish()


def _require(package: str, extra: str) -> None:
    from importlib.util import find_spec

    if find_spec(package) is None:
        raise ImportError(
            f"expected the package {package}, which is not installed; "
            f"pip install 'consilience[{extra}]'"
        )
