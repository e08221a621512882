"""Checkpoints: where, how often, how many; a run that goes on where it was stopped."""

import dataclasses
import os
import re
import time
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path

import jax
from jaxtyping import PyTree

from consilience.datasets.writing import PARTIAL
from consilience.nn.sizes import check_numbers, check_positive
from consilience.training.archive import ArchiveError, read_archive, write_archive
from consilience.training.encodings import flatten, unflatten

KIND = "checkpoint"
_NAME = re.compile(r"step-(\d+)\.npz")


@dataclasses.dataclass(frozen=True)
class Checkpoints:
    """Where `fit` keeps what it needs to go on, and how often.

    A resumed run ends with the same bits under every bound of ours. NumPyro's own
    `Trace_ELBO` adds terms in the order of a set of names, which differs from one process to
    the next unless the environment variable PYTHONHASHSEED is set.

    Attributes:
        folder: made if need be; the run's own, and shared by its processes.
        every_seconds: longest time between two checkpoints, None for no such limit.
        every_steps: most steps between two, None for no such limit.
        keep: how many of the newest stay.
        resume: go on from the newest in `folder`, if it has any. Without it a folder
            that has some is refused.

    Raises:
        ValueError: a limit or `keep` is not positive, or there is no limit at all.
        TypeError: `folder` is no path.
    """

    folder: str | os.PathLike
    every_seconds: float | None = 60.0
    every_steps: int | None = None
    keep: int = 3
    resume: bool = False

    def __post_init__(self):
        if not isinstance(self.folder, str | os.PathLike) or not os.fspath(self.folder):
            raise TypeError(f"folder: expected a path, got {self.folder!r}")
        seconds = self.every_seconds
        if seconds is None and self.every_steps is None:
            raise ValueError(
                "every_seconds, every_steps: expected at least one of them"
            )
        if seconds is not None:
            check_numbers(every_seconds=seconds)
        check_positive(keep=self.keep)
        if self.every_steps is not None:
            check_positive(every_steps=self.every_steps)


class OtherRunError(ValueError):
    """A checkpoint is of a run with other settings."""


class CheckpointStore:
    """Checkpoints of one run. Of several processes all read, and the first one writes.

    Args:
        checkpoints: where, how often, how many.
        fingerprint: settings that a resumed run must share, by name; one that is large
            by its parts.

    Raises:
        ValueError: there are checkpoints already, and `resume` is False.
        OSError: nothing can be written into the folder.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        fingerprint: Mapping[str, str | int | float | Mapping[str, str]],
    ):
        self.settings, self.fingerprint = checkpoints, dict(fingerprint)
        self.folder = Path(checkpoints.folder)
        self._step, self._time = 0, time.monotonic()
        self._writes = jax.process_index() == 0
        self._refuse_used()
        if self._writes:
            self._prepare()

    def latest(self, like: PyTree) -> tuple[dict, PyTree] | None:
        """Header and state of the newest intact checkpoint, or None if there is none.

        One that is damaged is reported as a warning, and the one before it taken.

        Args:
            like: a state of the same structure, shapes and dtypes; may be abstract.

        Raises:
            ArchiveError: there are checkpoints, but all of them are damaged.
            OtherRunError: it is of a run with other settings, or of another state.
        """
        found = next(self._intact(), None)
        self._step = found[0] if found else 0
        self._require_shared()
        if found is None:
            return None
        step, described, arrays = found
        self._require_same(step, described["fingerprint"])
        try:
            return described["header"], unflatten(like, arrays)
        except ValueError as error:
            raise OtherRunError(
                f"{self._path(step)}: a checkpoint of another model, guide or optimizer: "
                f"{error}"
            ) from error

    @property
    def newest(self) -> Path:
        """The checkpoint that was read or written last."""
        return self._path(self._step)

    def due(self, step: int, ahead: int = 0) -> bool:
        """Whether enough seconds have passed since the last one, or would steps be too many.

        `ahead` is how many steps more there are to be before this is asked again.
        """
        passed = {
            "every_steps": step - self._step + max(ahead - 1, 0),
            "every_seconds": time.monotonic() - self._time,
        }
        limits = {name: getattr(self.settings, name) for name in passed}
        return any(
            passed[n] >= limit for n, limit in limits.items() if limit is not None
        )

    def save(self, step: int, header: Mapping, tree: PyTree) -> None:
        """Write the checkpoint of a step, then delete those beyond the `keep` newest.

        Raises:
            OSError: it could not be written; those before it are as they were.
        """
        self._write(self._path(step), header, tree)
        self._step, self._time = step, time.monotonic()
        if self._writes:
            older = [known for known in self.steps() if known <= step]
            for known in older[: -self.settings.keep]:
                self._path(known).unlink(missing_ok=True)

    def steps(self) -> list[int]:
        """Steps of the checkpoints in the folder, in order."""
        names = map(_NAME.fullmatch, os.listdir(self.folder))
        return sorted(int(name[1]) for name in names if name)

    def _path(self, step: int) -> Path:
        return self.folder / f"step-{step:09d}.npz"

    def _write(self, path: Path, header: Mapping, tree: PyTree) -> None:
        if not self._writes:
            return
        described = {"fingerprint": self.fingerprint, "header": dict(header)}
        try:
            write_archive(path, KIND, described, flatten(tree))
        except OSError as error:
            kept = f"; that of step {self._step} is intact" if self._step else ""
            raise OSError(
                error.errno,
                f"checkpoint {path.name} could not be written into {self.folder}: "
                f"{error.strerror or error}{kept}",
            ) from error

    def _intact(self) -> Iterator[tuple[int, dict, dict]]:
        """Checkpoints that can be read, newest first."""
        steps = self.steps() if self.folder.is_dir() else []
        for step in reversed(steps):
            try:
                yield step, *_checked(self._path(step))
            except (ValueError, OSError) as error:
                warnings.warn(
                    f"checkpoints: {error}; the one before it is used", stacklevel=3
                )
        if steps:
            raise ArchiveError(
                f"folder: {self.folder}: none of its {len(steps)} checkpoints can be "
                "read; move them away to start anew"
            )

    def _require_same(self, step: int, theirs: Mapping) -> None:
        ours = self.fingerprint
        different = [
            _differ(name, theirs.get(name), ours.get(name))
            for name in {**theirs, **ours}
            if theirs.get(name) != ours.get(name)
        ]
        if different:
            raise OtherRunError(
                f"{self._path(step)}: expected the settings of the run that is resumed; "
                + "; ".join(different)
            )

    def _require_shared(self) -> None:
        if jax.process_count() == 1:
            return
        from jax.experimental.multihost_utils import process_allgather

        steps = process_allgather(self._step).tolist()
        if len(set(steps)) > 1:
            raise ValueError(
                f"folder: expected one that all processes share, but in {self.folder} they "
                f"found checkpoints of the steps {steps}"
            )

    def _refuse_used(self) -> None:
        used = sorted(self.folder.glob("*.npz"))
        if used and not self.settings.resume:
            raise ValueError(
                f"folder: {self.folder} holds {used[-1].name} already; expected an empty "
                "folder, or resume=True to go on from there"
            )

    def _prepare(self) -> None:
        """Make the folder, see that it can be written, remove what killed writers left."""
        probe = self.folder / f".probe{PARTIAL}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for partial in self.folder.glob(f".*{PARTIAL}"):
                partial.unlink(missing_ok=True)
            write_archive(probe, "probe", {}, {})
            probe.unlink()
        except OSError as error:
            raise OSError(
                error.errno,
                f"folder: nothing can be written into {self.folder}: "
                f"{error.strerror or error}",
            ) from error


def _checked(path: Path) -> tuple[dict, dict]:
    """Header and arrays of a checkpoint."""
    described, arrays = read_archive(path, KIND)
    for name in ("fingerprint", "header"):
        if not isinstance(described.get(name), Mapping):
            raise ArchiveError(
                f"{path}: expected a checkpoint with a {name}, got {described.get(name)!r}"
            )
    return described, arrays


def _differ(name: str, theirs: object, ours: object) -> str:
    """What of a setting is another now; of a digest, which, but not its value."""
    if isinstance(theirs, Mapping) != isinstance(ours, Mapping):
        return f"{name}: another version of consilience wrote it in another form"
    if not isinstance(theirs, Mapping):
        return f"{name}: the run had {theirs!r}, now {ours!r}"
    found = [p for p in {**theirs, **ours} if theirs.get(p) != ours.get(p)]
    pairs = [
        (p, str(theirs.get(p, "none")), str(ours.get(p, "none"))) for p in found[:5]
    ]
    return "; ".join(
        f"{name}: the run had another {path or 'one'}"
        if max(len(then), len(now)) >= 64
        else f"{name}: {path}: the run had {then}, now {now}".replace(": :", ":")
        for path, then, now in pairs
    )
