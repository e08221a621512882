"""A study: cells that are run one by one, and a JSON file that has every finished one.

A study that was killed goes on where it stopped: cells in the file are not run again.
"""

import json
import math
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import jax

from consilience.datasets.writing import write_text

PACKAGES = ("consilience", "numpyro", "jax", "jaxlib", "flax", "optax", "numpy")


class Budget(NamedTuple):
    """How much a table may cost.

    Attributes:
        seeds: data sets, each with its own model, initial values and noise.
        steps: updates of each training.
        rows: training rows; the paper's, or fewer to be quick.
        size: of networks, by a name; "few" also means only the rows that show the trends.
    """

    seeds: int
    steps: int
    rows: int
    size: str = "paper"


class Cell(NamedTuple):
    """One row of a table.

    Attributes:
        settings: what tells it from the others; words and numbers.
        work: from seeds to the figures of each, by name. Given several seeds, it may train
            them side by side.
        fixed: what all cells share, such as the learning rate: kept with the results, so
            that a study does not go on with others.
    """

    settings: dict[str, str | int | float]
    work: Callable[[list[int]], list[dict]]
    fixed: dict[str, str | int | float] = {}  # noqa: RUF012 (never changed)

    def name(self, seed: int) -> str:
        """Of the cell with one seed, in the file."""
        return ", ".join(
            f"{k}={v}" for k, v in (self.settings | {"seed": seed}).items()
        )


def run_study(
    path: Path,
    cells: Sequence[Cell],
    seeds: int,
    side_by_side: bool = False,
    *,
    anew: bool = False,
    say: Callable[[str], None] = print,
) -> list[dict]:
    """Run what the file does not have yet, writing it after each piece.

    A training that diverges is a result, too: it has no figures, and says why.

    Args:
        path: the JSON file; its folder must be there.
        cells: in order.
        seeds: how many each cell is run with.
        side_by_side: all seeds of a cell in one piece, or one after another.
        anew: these cells are run though the file has them, which it keeps until the first
            of them is done.
        say: told of every piece.

    Returns:
        of these cells: settings with the seed, figures, seconds, and what ran them.

    Raises:
        ValueError: two cells have one name; the file is none of ours, or has them with
            other fixed values.
    """
    names = [cell.name(seed) for cell in cells for seed in range(seeds)]
    if len(set(names)) < len(names):
        raise ValueError(f"cells: expected different settings, got {names}")
    kept = _kept(path)
    rows = [cell.settings for cell in cells]
    old = {n for n, x in kept.items() if anew and _of_any_seed(x) in rows}
    missing = set(names) - (kept.keys() - old)
    _check_alike(path, cells, [x for n, x in kept.items() if n not in old])
    for cell in cells:
        left = [seed for seed in range(seeds) if cell.name(seed) in missing]
        for some in [left] if side_by_side else [[seed] for seed in left]:
            if some:
                new = _ran(cell, some)
                # read again: another process may have written meanwhile
                kept = {n: x for n, x in _kept(path).items() if n not in old} | new
                old = set()
                write(path, kept)
                done = sum(name in kept for name in names)
                say(_progress(f"{path.stem} {done}/{len(names)}", new))
    return [kept[name] for name in names]


def _check_alike(path: Path, cells: Sequence[Cell], kept: Sequence[Mapping]) -> None:
    """Refuse to go on with results of other learning rates and the like."""
    for cell in cells:
        for each in kept:
            same = _of_any_seed(each) == cell.settings
            if same and each.get("fixed", cell.fixed) != cell.fixed:
                raise ValueError(
                    f"{path}: {cell.name(each['settings']['seed'])}: expected results with "
                    f"{cell.fixed}, got some with {each['fixed']}; --overwrite trains them "
                    "anew"
                )


def _of_any_seed(result: Mapping) -> dict:
    return {k: v for k, v in result["settings"].items() if k != "seed"}


def _kept(path: Path) -> dict[str, dict]:
    return read(path) if path.exists() else {}


def _progress(done: str, new: Mapping[str, Mapping]) -> str:
    last = list(new)[-1]
    failed = next((x["failed"] for x in new.values() if "failed" in x), None)
    return f"{done}: {last}, {new[last]['seconds']:.0f} s" + (
        f"; diverged: {failed}" if failed else ""
    )


def _ran(cell: Cell, seeds: list[int]) -> dict[str, dict]:
    """Results of some seeds by name; the seconds are shared out."""
    started = time.perf_counter()
    try:
        outcomes = [{"figures": figures} for figures in cell.work(seeds)]
    except FloatingPointError as error:
        if len(seeds) > 1:  # which of them?
            return {k: v for seed in seeds for k, v in _ran(cell, [seed]).items()}
        outcomes = [{"figures": {}, "failed": str(error)}]
    seconds = round((time.perf_counter() - started) / len(seeds), 1)
    return {
        cell.name(seed): {
            "settings": cell.settings | {"seed": seed},
            **outcome,
            "fixed": cell.fixed,
            "seconds": seconds,
            "ran": provenance(),
        }
        for seed, outcome in zip(seeds, outcomes, strict=True)
    }


def provenance() -> dict:
    """Versions, device, and when."""
    return {
        "versions": {name: version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "device": jax.devices()[0].device_kind,
        "cores": os.cpu_count(),
        "finished": time.strftime("%Y-%m-%d %H:%M", time.gmtime()),
    }


def read(path: Path) -> dict[str, dict]:
    """Cells of a results file, by name.

    Raises:
        ValueError: it holds something else.
    """
    try:
        cells = json.loads(path.read_text())["cells"]
        if all({"settings", "figures"} <= cell.keys() for cell in cells.values()):
            return cells
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(
        f"{path}: expected results of `consilience paper`, got another file"
    )


def write(path: Path, cells: Mapping[str, Mapping]) -> None:
    """Replace the file in one go: killed in between, the old one stays whole."""
    text = json.dumps({"cells": _plain(cells)}, indent=1, allow_nan=False)
    write_text(path, text + "\n")


def _plain(value):
    """JSON has no numbers that are not finite: they become null."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
