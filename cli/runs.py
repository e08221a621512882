"""The folder of a run: what is in it, how it is begun and how it is read again."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import consilience as cs
from consilience.cli import config as configuration
from consilience.cli import data, earlier
from consilience.cli.keys import KEYS
from consilience.cli.outputs import check_place
from consilience.datasets.writing import write_text

CONFIG, DATA, MODEL = "config.yaml", "data.json", "model.npz"
HISTORY, LOG, PICTURE = "history.csv", "log.jsonl", "training.png"
CHECKPOINTS = "checkpoints"
FILES = (CONFIG, DATA, MODEL, HISTORY, LOG, PICTURE)
RESOLVED = ("likelihoods", "encoders", "decoders", "log", "standardize", "epochs")
TRAINED = (
    "latent_dim",
    "likelihoods",
    "entry_masks",
    "log",
    "standardize",
    "validation",
)


class Run(NamedTuple):
    """What a folder says of a run.

    Attributes:
        folder: its own.
        config: resolved.
        path: of the data it was trained on.
        fingerprint: of these data.
        begun: the configuration as it was then, of files; empty if no file says it.
    """

    folder: Path
    config: dict
    path: Path
    fingerprint: str
    begun: dict


def check_new(folder: Path, source: Path, overwrite: bool) -> None:
    """Refuse a folder that holds a run, that of the data, and one that cannot be written.

    Raises:
        ValueError: saying which.
    """
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"--out: expected a folder, but {folder} is a file")
    if folder.resolve() == source.resolve():
        raise ValueError(
            f"--out: expected another folder than that of the data, got {folder}: its "
            "files would be read as data"
        )
    for name in FILES:
        check_place(folder / name)
    there = [path.name for path in files(folder)]
    if there and not overwrite:
        raise ValueError(
            f"--out: {folder} holds {there[0]} of an earlier run; name another folder, add "
            f"--overwrite, or go on with `consilience resume {folder}`"
        )


def begin(run: Run) -> list[Path]:
    """Make the folder anew: an earlier run moves aside, the configuration comes.

    Returns:
        folders that were made for it, the innermost first.
    """
    made = [p for p in (run.folder, *run.folder.parents) if not p.exists()]
    run.folder.mkdir(parents=True, exist_ok=True)
    earlier.keep(run.folder, files(run.folder))
    configuration.write(run.config, run.folder / CONFIG)
    described = {
        "data": str(run.path.resolve()),
        "sha256": run.fingerprint,
        "config": configuration.plain(run.config),
    }
    write_text(run.folder / DATA, json.dumps(described, indent=2) + "\n")
    return made


def restore(run: Run) -> bool:
    """Put the earlier run back in the place of this one, if it is still kept."""
    if not earlier.kept(run.folder):
        return False
    earlier.restore(run.folder, files(run.folder))
    return True


def trained(run: Run) -> bool:
    """Whether the training has come to a checkpoint."""
    return earlier.trained(run.folder / CHECKPOINTS)


def restore_untrained(run: Run) -> bool:
    """`restore`, unless the training has come to a checkpoint: then let the other go."""
    if not trained(run):
        return restore(run)
    earlier.drop(run.folder)
    return False


def forget(run: Run, made: Sequence[Path]) -> None:
    """Remove what `begin` wrote and made, if nothing has been kept of the training.

    An earlier run is back then; else it is let go.
    """
    if restore_untrained(run) or trained(run):
        return
    for path in files(run.folder):
        path.unlink()
    for empty in (run.folder / CHECKPOINTS, *made):
        if empty.is_dir() and not any(empty.iterdir()):
            empty.rmdir()


def stopped(run: Run) -> str:
    """What is left of a training that was stopped, in words."""
    if restore_untrained(run):
        return f"stopped before a checkpoint; the earlier run is back in {run.folder}"
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
        of_data = str(described["data"]), str(described["sha256"])
        run = Run(folder, config, Path(of_data[0]), of_data[1], {})
        run = run._replace(begun=dict(described.get("config", {})))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(
            f"{folder / DATA}: expected what `consilience fit` wrote, got another file"
        ) from error
    _check_whole(run)
    return run


def edited(run: Run, keys: Sequence[str] = tuple(KEYS)) -> str:
    """Which keys of the configuration are others now than when the run was begun."""
    now = configuration.plain(run.config) if run.begun else {}
    changed = [name for name in keys if now.get(name) != run.begun.get(name)]
    return "; ".join(
        f"{run.folder / CONFIG}: {name}: the run was begun with "
        f"{run.begun.get(name, 'none')}, got {now.get(name, 'none')}"
        for name in changed
    )


def _check_whole(run: Run) -> None:
    """A configuration that `fit` wrote has all that it found from the data."""
    lacking = [name for name in RESOLVED if run.config[name] is None]
    if lacking:
        raise ValueError(
            f"{run.folder / CONFIG}: expected the keys that `consilience fit` wrote, but "
            f"there is no {lacking[0]}; copy it to another file to change it"
        )


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
    different = edited(run, TRAINED)
    if different:
        raise ValueError(f"{different}; put back what the model was trained with")
    path = run.folder / MODEL
    if not path.is_file():
        raise ValueError(
            f"{run.folder}: expected a trained model, but the training has not come to "
            f"its end; `consilience resume {run.folder}` goes on"
        )
    fitted = cs.load(path)
    return fitted if fitted.best_state is None else fitted.best


def files(folder: Path) -> list[Path]:
    """Those of a run, as far as they are there."""
    if not folder.is_dir():
        return []
    kept = sorted((folder / CHECKPOINTS).glob("*.npz"))
    return [p for p in (folder / name for name in FILES) if p.exists()] + kept
