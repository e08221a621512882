"""How well a trained model explains data: likelihoods, rates, coverage."""

import argparse
import json
from pathlib import Path

import jax

import consilience as cs
from consilience.cli import applied, checks, data, outputs, runs, scores
from consilience.cli.arguments import add_data, add_draws, add_run
from consilience.cli.pictures import log_likelihoods
from consilience.datasets.writing import write_text
from consilience.evaluation import plot_calibration, plot_rate_distortion
from consilience.experiments.console import console as make_console
from consilience.experiments.options import a_path, share
from consilience.experiments.pictures import save

JSON, LIKELIHOODS, RATES = "evaluation.json", "likelihoods.csv", "rates.csv"
COVERAGE, CALIBRATION = "coverage.csv", "calibration.csv"

USAGE = "consilience evaluate RUN [DATA] [--out FOLDER] [options]"
EXAMPLES = """examples:
  consilience evaluate run
  consilience evaluate run other_measurements --out evaluation --coverage 0.9
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of evaluating."""
    add_run(parser)
    add_data(parser, "the samples that RUN held out")
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=a_path,
        default=Path("evaluation"),
        metavar="FOLDER",
        help="tables as .csv, pictures as .png, all of it as evaluation.json",
    )
    output.add_argument("--overwrite", action="store_true", help="replace files")
    more = parser.add_argument_group("more to look at")
    more.add_argument(
        "--coverage",
        type=share,
        metavar="PROBABILITY",
        default=argparse.SUPPRESS,
        help="do intervals of this probability cover each modality, predicted from the "
        "others?",
    )
    more.add_argument(
        "--calibration",
        action="store_true",
        help="is the guide right for the model? simulate and rank",
    )
    add_draws(parser, 1000, "importance samples of each sample")


def run(options: argparse.Namespace) -> None:
    """Score the model in RUN on DATA, or on the samples that were held out of its training.

    Without DATA, or where DATA are those of the training, held-out samples alone count.

    For each subset S of modalities (each one, all but each, all): log p(S) in nats a sample
    in the units of DATA, log p(rest | S), the effective sample size of the importance
    samples and the share of samples whose estimate may be far off (Pareto k̂ above what
    so many samples bear, 0.67 of 1000).
    Rates and distortions where samples have two modalities or more.
    """
    names = _names(options)
    read = [options.data or runs.place(runs.read(options.run_folder))]
    read += runs.files(options.run_folder)
    new = [options.out / name for name in names]
    outputs.check_free(new, options.overwrite, read)
    found = _unseen(options.run_folder, options.data)
    outputs.make_folders(new)
    keys = jax.random.split(jax.random.key(options.seed), 4)
    console, tables, figures = make_console(), {}, {}
    lines = scores.likelihoods(keys[0], found, options.draws)
    console.print(scores.shown(lines, options.draws))
    tables[LIKELIHOODS] = scores.table(lines)
    figures["likelihoods.png"] = log_likelihoods(tables[LIKELIHOODS])
    if scores.can_cross(found.rows):
        rates = found.fitted.evaluate(cs.rates, keys[1], found.rows)
        tables[RATES] = rates.to_pandas()
        figures["rates.png"] = plot_rate_distortion({str(options.run_folder): rates})
    if hasattr(options, "coverage"):
        settings = (options.coverage, options.draws)
        tables[COVERAGE] = checks.coverage(keys[2], found, *settings)
        console.print(checks.said(tables[COVERAGE], options.coverage))
    if options.calibration:
        ranks = checks.calibration(keys[3], found)
        tables[CALIBRATION] = ranks.p_values()
        figures["calibration.png"] = plot_calibration(ranks)
        console.print(f"calibration of the guide: p = {ranks.p_value():.2g}")
    for name, table in tables.items():
        outputs.write_table(table, options.out / name)
    for name, figure in figures.items():
        save(figure, options.out / name)
    _write_json(tables, options.out / JSON)
    for name in (*tables, *figures, JSON):
        console.print(f"wrote {options.out / name}", highlight=False)


def _unseen(folder: Path, path: Path | None) -> applied.Applied:
    """DATA, or the held-out samples where DATA are those of the training."""
    run = runs.read(folder)
    found = applied.apply(folder, path or runs.place(run))
    rows = data.rows(found.arrays, run.config)
    if path is None:
        runs.check_same(run, rows, run.path)
    elif data.fingerprint(rows) != run.fingerprint:
        return found
    _, held = data.places(rows.size, run.config["validation"])
    if path is None and not len(held):
        raise ValueError(f"DATA: expected it, since {folder} held out no samples")
    if not len(held):
        print(f"{folder} was trained on all of these samples: figures are too good")
        return found
    if path is not None:
        print(f"{folder} was trained on these samples: scoring those that it held out")
    return applied.of_rows(found, held)


def _names(options: argparse.Namespace) -> list[str]:
    """All files that may be written."""
    names = [JSON, LIKELIHOODS, "likelihoods.png", RATES, "rates.png"]
    names += [COVERAGE] if hasattr(options, "coverage") else []
    return names + [CALIBRATION, "calibration.png"] * options.calibration


def _write_json(tables: dict, path: Path) -> None:
    """Tables as lists of objects; numbers that are none are null."""
    said = {
        Path(name).stem: json.loads(table.reset_index().to_json(orient="records"))
        for name, table in tables.items()
    }
    write_text(path, json.dumps(said, indent=2) + "\n")
