"""What a fit found in the data and made of it, in words."""

from collections.abc import Mapping

import numpy as np
from rich.table import Table

from consilience.cli.choices import shown
from consilience.cli.defaults import looks, measured
from consilience.datasets.contents import Arrays


def data(arrays: Arrays, config: Mapping, held: int) -> Table:
    """What the data are taken for, a line a modality."""
    title = f"{len(next(iter(arrays.values.values())))} samples"
    title += f", {held} of them held out" if held else ""
    made = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    for name in ("modality", "samples", "columns", "missing", "looks like"):
        right = name in ("samples", "columns", "missing")
        made.add_column(name, no_wrap=True, justify="right" if right else "left")
    made.add_column("likelihood", overflow="fold")
    made.add_column("scaled", no_wrap=True)
    for name in arrays.values:
        made.add_row(name, *_line(arrays, config, name))
    return made


def _line(arrays: Arrays, config: Mapping, name: str) -> list[str]:
    """Single entries are missing of samples that have the modality."""
    seen = measured(arrays, name)
    present = seen.reshape(len(seen), -1).any(-1)
    scaled = "yes" if name in config["standardize"] else ""
    scaled = "log(1 + x)" if name in config["log"] else scaled
    return [
        f"{present.sum()}",
        " × ".join(map(str, seen.shape[1:])) or "1",
        f"{1 - np.mean(seen[present]):.1%}",
        looks(arrays, name).kind,
        _word(config["likelihoods"][name]),
        scaled,
    ]


def model(config: Mapping) -> str:
    """Which parts were chosen, in a line."""
    keys = (
        "preset",
        "prior",
        "label",
        "aggregation",
        "head",
        "bound",
        "latent_dim",
        "epochs",
    )
    said = [f"{key} {_word(config[key])}" for key in keys if config[key] is not None]
    return ", ".join(said)


def _word(value: object) -> str:
    found = shown(value)
    if not isinstance(found, dict):
        return str(found)
    settings = ", ".join(f"{k}={x}" for k, x in found.items() if k != "name")
    return f"{found['name']} ({settings})"
