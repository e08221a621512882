"""Rank trained models by their log-likelihoods of the same samples."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import jax
from rich.table import Table

import consilience as cs
from consilience.cli import applied, data, outputs, runs, train
from consilience.cli.arguments import add_draws
from consilience.cli.pictures import SUFFIXES
from consilience.evaluation import compare as rank
from consilience.evaluation import plot_comparison
from consilience.experiments.console import console
from consilience.experiments.options import a_path
from consilience.experiments.pictures import save
from consilience.inference.pareto import threshold

if TYPE_CHECKING:
    from pandas import DataFrame

USAGE = "consilience compare RUN RUN ... [--data DATA] [--out FILE] [options]"
EXAMPLES = """examples:
  consilience compare run_normal run_student
  consilience compare run_a run_b --data other --out table.csv --out table.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of comparing."""
    parser.add_argument(
        "run_folders",
        type=a_path,
        nargs="+",
        metavar="RUN",
        help="folders that `consilience fit` wrote, two or more",
    )
    parser.add_argument(
        "--data",
        type=a_path,
        metavar="DATA",
        default=argparse.SUPPRESS,
        help="samples to compare on (default: those that all runs held out)",
    )
    outputs.add_files(
        parser,
        "comparison.csv",
        (*outputs.TABLES, *SUFFIXES),
        "the table as .csv or .parquet, a picture as .png, .pdf or .svg",
    )
    add_draws(parser, 1000, "importance samples of each sample")


def run(options: argparse.Namespace) -> None:
    """Rank the models in RUN RUN ... by log p(x) of the same samples, with paired errors.

    The samples are those that the runs held out, the same ones if data and share are the
    same, or DATA. Log-likelihoods are in the units of the data, whatever was scaled.
    """
    folders, given = options.run_folders, getattr(options, "data", None)
    read = [path for folder in folders for path in runs.files(folder)]
    paths = outputs.files(options, read if given is None else [given, *read])
    _check_folders(folders)
    found = _fitted_and_rows(folders, given)
    outputs.make_folders(paths)
    key, estimates = jax.random.key(options.seed), {}
    for folder, (fitted, rows) in zip(folders, found, strict=True):
        estimate = fitted.log_likelihood(key, rows, num_samples=options.draws)
        estimates[str(folder)] = estimate
    table = rank(estimates, round_to="none")
    table.index.name = "run"
    console().print(_shown(table, rows.size, options.draws))
    for path in paths:
        if outputs.is_picture(path):
            save(plot_comparison(table), path)
        else:
            outputs.write_table(table, path)
        print(f"wrote {path}")


def _shown(table: "DataFrame", samples: int, draws: int) -> Table:
    """The ranking to be read."""
    most = f"k̂ > {threshold(draws):.2f}"
    error = table.monte_carlo_error.max()
    caption = (
        "± paired standard error, from the samples' own differences, in which the errors of "
        f"{draws} draws are contained (alone up to {error:.1f}). {most}: samples whose "
        "estimate may be far off; a better guide looks like a better model there."
    )
    made = Table(title=f"log-likelihood of {samples} samples, nats", caption=caption)
    made.add_column("run")
    for title in ("log p(x)", "less the best", "weight", most):
        made.add_column(title, justify="right")
    for name, line in table.iterrows():
        made.add_row(
            str(name),
            f"{line.elpd:.1f}",
            f"{line.elpd_diff:.1f} ± {line.dse:.1f}",
            f"{line.weight:.2f}",
            str(line.diag_elpd or "").partition(" ")[0] or "0",
        )
    return made


def _check_folders(folders: Sequence[Path]) -> None:
    if len(folders) < 2:
        raise ValueError(f"RUN: expected two or more, got {folders[0]} alone")
    same = [f for i, f in enumerate(folders) if f.resolve() in _resolved(folders[:i])]
    if same:
        raise ValueError(f"RUN: expected each once, got {same[0]} twice")


def _resolved(folders: Sequence[Path]) -> list[Path]:
    return [folder.resolve() for folder in folders]


def _fitted_and_rows(folders: Sequence[Path], path: Path | None) -> list[tuple]:
    """Each run's model, and the samples as it sees them."""
    if path is not None:
        found = [applied.apply(folder, path) for folder in folders]
        _check_rows([data.rows(one.arrays, one.run.config) for one in found], folders)
        return [(one.fitted, one.rows) for one in found]
    begun = [runs.read(folder) for folder in folders]
    _check_data(begun)
    return [(runs.load(run), _held_out(run)) for run in begun]


def _held_out(run: runs.Run) -> cs.MultimodalData:
    _, held = train.parts(run.config, runs.rows(run))
    return held


def _check_data(begun: Sequence[runs.Run]) -> None:
    """Held-out rows are the same where data and share are."""
    first = begun[0]
    for run in begun:
        if run.fingerprint != first.fingerprint:
            raise ValueError(
                f"{run.folder}: expected a run on the data of {first.folder}, "
                f"{first.path}, got one on {run.path} "
                + ("as it was then" if run.path == first.path else "")
                + "; --data DATA compares both on other samples"
            )
        ours, theirs = (r.config["validation"] for r in (first, run))
        if ours != theirs or ours == 0:
            raise ValueError(
                f"{run.folder}: expected a share of samples held out as in "
                f"{first.folder}, validation: {ours or 'above 0'}, got {theirs}; --data "
                "DATA compares both on other samples"
            )


def _check_rows(read: Sequence[cs.MultimodalData], folders: Sequence[Path]) -> None:
    """Runs may read the same files differently."""
    prints = [data.fingerprint(rows) for rows in read]
    for folder, found in zip(folders, prints, strict=True):
        if found != prints[0]:
            raise ValueError(
                f"{folder}: expected what {folders[0]} reads of these data, got other "
                "samples or modalities; their keys samples or modalities differ"
            )
