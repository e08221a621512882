"""The run that was in a folder before: kept aside until the one in its place has begun."""

import shutil
from collections.abc import Iterable
from pathlib import Path


class UntilCheckpoint:
    """A logger that lets the earlier run go when an epoch ends behind a checkpoint.

    Args:
        folder: of the run.
        checkpoints: the folder of its checkpoints.
    """

    def __init__(self, folder: Path, checkpoints: Path):
        self.folder, self.checkpoints = folder, checkpoints

    def open(self, step: int | None) -> None:
        """Nothing has been trained yet."""

    def log(self, step: int, numbers: object) -> None:
        if trained(self.checkpoints):
            drop(self.folder)

    def close(self) -> None:
        """Whoever stopped it says what becomes of the earlier run."""


def trained(checkpoints: Path) -> bool:
    """Whether a folder of checkpoints has one."""
    return any(checkpoints.glob("step-*.npz"))


def place(folder: Path) -> Path:
    """A hidden folder beside that of the run, so that files move by renaming."""
    folder = folder.resolve()
    return folder.with_name(f".{folder.name}.earlier")


def kept(folder: Path) -> bool:
    """Whether there is an earlier run, and none in its place that has begun."""
    return place(folder).is_dir()


def keep(folder: Path, files: Iterable[Path]) -> None:
    """Move the files of a run aside, or away where an earlier one is aside already.

    The latter were left by a fit that was killed before its first checkpoint.
    """
    if kept(folder):
        _remove(files)
    else:
        _move(files, folder, place(folder))


def restore(folder: Path, files: Iterable[Path]) -> None:
    """Put the earlier run back in the place of these files."""
    _remove(files)
    aside = place(folder)
    _move([path for path in aside.rglob("*") if not is_folder(path)], aside, folder)
    drop(folder)


def drop(folder: Path) -> None:
    """Let the earlier run go, if there is one."""
    if kept(folder):
        shutil.rmtree(place(folder))


def is_folder(path: Path) -> bool:
    """A link counts as a file, wherever it leads."""
    return path.is_dir() and not path.is_symlink()


def _move(files: Iterable[Path], source: Path, target: Path) -> None:
    for path in files:
        to = target / path.relative_to(source)
        to.parent.mkdir(parents=True, exist_ok=True)
        path.rename(to)


def _remove(files: Iterable[Path]) -> None:
    for path in files:
        path.unlink()
