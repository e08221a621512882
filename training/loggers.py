"""Where the numbers of a training go besides its history."""

import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol, runtime_checkable

from consilience.datasets.writing import target, write_text

Numbers = Mapping[str, float | int]


@runtime_checkable
class Logger(Protocol):
    """Takes the numbers of each epoch."""

    def open(self, step: int | None) -> None:
        """A run begins (None), or goes on behind the epoch that ended with `step` steps.

        What was logged of later steps will come again.

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
    one refuses a file with anything in it. Numbers that are not finite are null.

    Args:
        path: the file; its folder is made. A link is followed; what is no regular file
            is refused when a run begins.
    """

    def __init__(self, path: str | os.PathLike):
        self.path = Path(path)

    def open(self, step: int | None) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        target(self.path)  # a pipe would be read for ever
        lines = self._lines()
        if step is None and lines:
            raise ValueError(
                f"path: expected a new file, but {self.path} holds the log of another run"
            )
        kept = [line for line, of in lines if of <= (step or 0)]
        write_text(self.path, "".join(line + "\n" for line in kept))

    def log(self, step: int, numbers: Numbers) -> None:
        finite = {n: x if math.isfinite(x) else None for n, x in numbers.items()}
        with open(self.path, "a") as file:
            file.write(json.dumps(finite) + "\n")

    def close(self) -> None:
        """Every line is on disk already."""

    def _lines(self) -> list[tuple[str, int]]:
        """Whole lines and their steps; the last one may have been cut off.

        Raises:
            ValueError: it is no such file.
        """
        text = self.path.read_text(errors="replace") if self.path.exists() else ""
        lines = [(line, _step(line)) for line in text.splitlines()]
        if lines and lines[-1][1] < 0 and lines[-1][0].startswith("{"):
            lines = lines[:-1]
        for i, (line, of) in enumerate(lines):
            if of < 0:
                raise ValueError(
                    f"path: expected a new file or a log, but line {i + 1} of {self.path} "
                    f"is {line[:40]!r}"
                )
        return lines


def _step(line: str) -> int:
    """The step of a line; −1 if it has none."""
    try:
        return int(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return -1


class TensorBoard:
    """Scalars for TensorBoard, by tensorboardX; `pip install 'consilience[tensorboard]'`.

    A run that goes on has TensorBoard forget its events of later steps; a new one refuses
    a folder with events.

    Args:
        folder: of the event files; it is made.

    Raises:
        ImportError: tensorboardX is not installed.
    """

    def __init__(self, folder: str | os.PathLike):
        self.folder, self.writer = Path(folder), None
        _require("tensorboardX", "tensorboard")

    def open(self, step: int | None) -> None:
        from tensorboardX import SummaryWriter

        if step is None and any(self.folder.glob("*.tfevents.*")):
            raise ValueError(
                f"folder: expected a new one, but {self.folder} holds events of another run"
            )
        settings = {"purge_step": None if step is None else step + 1, "flush_secs": 10}
        suffix = f".{step or 0}"  # files are named by the second, and overwritten
        self.writer = SummaryWriter(
            str(self.folder), filename_suffix=suffix, **settings
        )

    def log(self, step: int, numbers: Numbers) -> None:
        for name, value in numbers.items():
            if math.isfinite(value) and name != "step":
                self.writer.add_scalar(name, value, step)

    def close(self) -> None:
        self.writer.close()


class WeightsAndBiases:
    """A run of Weights & Biases; `pip install 'consilience[wandb]'`.

    Args:
        settings: of `wandb.init`: `project`, `name`; `id` and `resume` to go on.

    Raises:
        ImportError: wandb is not installed.
        ValueError: on opening, a run goes on, and there is no `id`.
    """

    def __init__(self, **settings):
        self.settings, self.run = settings, None
        _require("wandb", "wandb")

    def open(self, step: int | None) -> None:
        import wandb

        if step is not None and "id" not in self.settings:
            raise ValueError(
                "id: expected that of the run that goes on, WeightsAndBiases(id=..., "
                "resume='must'), got none, which would begin another run"
            )
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
