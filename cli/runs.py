"""The folder of a run: what is in it, how it is begun and how it is read again."""

import json
from pathlib import Path
from typing import NamedTuple

import consilience as cs
from consilience.cli import config as configuration
from consilience.cli import data, earlier
from consilience.cli.keys import KEYS
from consilience.datasets.writing import write_text

CONFIG, DATA, MODEL = "config.yaml", "data.json", "model.npz"
HISTORY, LOG, PICTURE = "history.csv", "log.jsonl", "training.png"
CHECKPOINTS = "checkpoints"
FILES = (CONFIG, DATA, MODEL, HISTORY, LOG, PICTURE)


class Run(NamedTuple):
    """What a folder says of a run.

    Attributes:
        folder: its own.
        config: resolved.
        path: of the data it was trained on.
        fingerprint: of these data.
    """

    folder: Path
    config: dict
    path: Path
    fingerprint: str


def check_new(folder: Path, overwrite: bool) -> None:
    """Refuse a folder that holds a run.

    Raises:
        ValueError: it does, and may not be overwritten; it is a file.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: expected a folder, but {folder} is a file")
    there = [path.name for path in _files(folder)]
    if there and not overwrite:
        raise ValueError(
            f"--out: {folder} holds {there[0]} of an earlier run; name another folder, add "
            f"--overwrite, or go on with `consilience resume {folder}`"
        )


def begin(run: Run) -> None:
    """Make the folder anew: an earlier run moves aside, the configuration comes."""
    run.folder.mkdir(parents=True, exist_ok=True)
    earlier.keep(run.folder, _files(run.folder))
    configuration.write(run.config, run.folder / CONFIG)
    described = {
        "data": str(run.path.resolve()),
        "sha256": run.fingerprint,
    }
    write_text(run.folder / DATA, json.dumps(described, indent=2) + "\n")


def restore(run: Run) -> bool:
    """Put the earlier run back, if there is one and no epoch of this one is over."""
    if not earlier.kept(run.folder):
        return False
    earlier.restore(run.folder, _files(run.folder))
    return True


def forget(run: Run) -> None:
    """Remove what `begin` wrote, if nothing has been trained; an earlier run is back."""
    folder = run.folder / CHECKPOINTS
    if restore(run) or any(folder.glob("*.npz")):
        return
    for path in _files(run.folder):
        path.unlink()
    for empty in (folder, run.folder):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def stopped(run: Run) -> str:
    """What is left of a training that was stopped, in words."""
    trained = any((run.folder / CHECKPOINTS).glob("step-*.npz"))
    if not trained and restore(run):
        return (
            f"stopped before the first epoch; the earlier run is back in {run.folder}"
        )
    earlier.drop(run.folder)
    return f"stopped; `consilience resume {run.folder}` goes on from here"


def read(folder: Path) -> Run:
    """What a folder says of a run.

    Raises:
        ValueError: it holds none, or a damaged one.
    """
    for name in (CONFIG, DATA):
        if not (folder / name).is_file():
            raise ValueError(
                f"{folder}: expected the folder of a run, as `consilience fit` writes it, "
                f"but there is no {name}"
            )
    config = {name: key.default for name, key in KEYS.items()}
    config |= configuration.from_file(folder / CONFIG)
    try:
        described = json.loads((folder / DATA).read_text("utf-8"))
        return Run(folder, config, Path(described["data"]), described["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{folder / DATA}: expected what `consilience fit` wrote, got another file"
        ) from error


def rows(run: Run, path: Path | None = None) -> cs.MultimodalData:
    """The rows that a run was begun with, unscaled.

    Raises:
        ValueError: others stand there now.
    """
    path = path or place(run, "with --data")
    found = data.rows(data.read(run.config, path), run.config)
    check_same(run, found, path)
    return found


def place(run: Run, how: str = "as DATA") -> Path:
    """Where the data are that a run was begun with.

    Raises:
        ValueError: nothing stands there; `how` is the way to say where they are now.
    """
    if not run.path.exists():
        raise ValueError(
            f"{run.folder}: expected its data in {run.path}, where there are none; if "
            f"they have moved, say where {how}"
        )
    return run.path


def check_same(run: Run, found: cs.MultimodalData, path: Path) -> None:
    """Refuse rows that are not those that a run was begun with.

    Raises:
        ValueError: naming the path they were read from.
    """
    if data.fingerprint(found) != run.fingerprint:
        raise ValueError(
            f"{path}: expected the data that {run.folder} was begun with, got others: "
            "values, names or their order have changed since"
        )


def load(run: Run) -> cs.Fitted:
    """The trained model: the best one on held-out rows, or else the last.

    Raises:
        ValueError: there is none yet.
    """
    path = run.folder / MODEL
    if not path.is_file():
        raise ValueError(
            f"{run.folder}: expected a trained model, but the training has not come to "
            f"its end; `consilience resume {run.folder}` goes on"
        )
    fitted = cs.load(path)
    return fitted if fitted.best_state is None else fitted.best


def _files(folder: Path) -> list[Path]:
    """Those of a run, as far as they are there."""
    if not folder.is_dir():
        return []
    kept = sorted((folder / CHECKPOINTS).glob("*.npz"))
    return [p for p in (folder / name for name in FILES) if p.exists()] + kept
