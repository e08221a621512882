"""The command line within this process: its words, its exit code, and one small run."""

import contextlib
import functools
import io
import shutil
import tempfile
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

TINY = (
    *("--quiet", "--epochs", "1", "--latent-dim", "1", "--num-features", "2"),
    *("--encoders", "mlp:hidden=[2]", "--decoders", "linear", "--batch-size", "8"),
    *("--aggregation", "product_of_experts"),
)


class RefusedError(ValueError):
    """A command ended with exit code 2; its words."""


def command(*arguments) -> str:
    """What a command prints.

    Raises:
        RefusedError: exit code other than 0.
        RuntimeError: a traceback in what it prints.
    """
    from consilience.cli.main import main

    said = io.StringIO()
    code = 0
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            code = main([str(argument) for argument in arguments])
    except SystemExit as stop:
        code = stop.code or 0
    if "Traceback" in said.getvalue():
        raise RuntimeError(f"a traceback: {said.getvalue()[-500:]}")
    if code:
        raise RefusedError(said.getvalue().strip())
    return said.getvalue()


def frames() -> dict[str, pd.DataFrame]:
    """Reals and counts of overlapping samples, with empty cells."""
    rng = np.random.default_rng(11)
    ids = pd.Index([f"s{i:02d}" for i in range(24)], name="patient")
    genes = pd.DataFrame(rng.normal(100, 10, (24, 3)).round(3), ids, ["g0", "g1", "g2"])
    genes[rng.random(genes.shape) < 0.1] = np.nan
    counts = pd.DataFrame(rng.poisson(5, (24, 2)), ids, ["c0", "c1"])
    return {"genes": genes.iloc[:20], "counts": counts.iloc[3:]}


def write_data(folder: Path, tables=None) -> Path:
    """A folder with both tables."""
    where = folder / "data"
    where.mkdir()
    for name, table in (tables or frames()).items():
        table.to_csv(where / f"{name}.csv")
    return where


@functools.cache
def trained() -> Path:
    """A folder with data and run, one for all attacks of a process."""
    folder = Path(tempfile.mkdtemp(prefix="attack-run-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        command("fit", write_data(folder), "--out", folder / "run", *TINY)
    return folder


def copied(folder: Path) -> Path:
    """A run of one's own to damage, beside its data."""
    shutil.copytree(trained(), folder, dirs_exist_ok=True)
    return folder
