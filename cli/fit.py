"""Train a model of several measurements of the same samples."""

import argparse

from consilience.cli import config as configuration
from consilience.cli import data, defaults, describe, runs, train
from consilience.cli.arguments import add_data
from consilience.experiments.console import console as make_console
from consilience.experiments.options import a_path

USAGE = "consilience fit DATA --out RUN [--config FILE] [options]"
EXAMPLES = """examples:
  consilience fit measurements --out run
  consilience fit measurements --out run --likelihoods genes=student_t:df=3
  consilience fit cells.h5mu --out run --config run.yaml --epochs 50
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of a fit."""
    add_data(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=a_path,
        required=True,
        metavar="RUN",
        help="folder to write: model, configuration, history, checkpoints",
    )
    output.add_argument("--overwrite", action="store_true", help="replace its files")
    output.add_argument("--quiet", action="store_true", help="no progress")
    output.add_argument(
        "--config",
        type=a_path,
        metavar="FILE",
        help="YAML or TOML with keys called as the options below, which come first; "
        "RUN/config.yaml is one",
    )
    configuration.add_options(parser)


def run(options: argparse.Namespace) -> None:
    """Train a model on DATA and write it, with all that led to it, into the folder RUN.

    What is not said is found from the data, and printed. Names of likelihoods, networks
    and so on may have settings: `--likelihoods student_t:df=3`, for one modality
    `--likelihoods genes=student_t:df=3`.
    """
    config = data.anywhere(configuration.merged(options))
    runs.check_new(options.out, options.data, options.overwrite)
    arrays = data.read(config, options.data)
    size = len(next(iter(arrays.values.values())))
    held = data.held_out(size, config["validation"])
    config = defaults.resolve(config, arrays, size - held)
    rows = data.rows(arrays, config)
    train.check(config, rows)
    console = make_console()
    console.print(describe.data(arrays, config, held))
    console.print(describe.model(config), highlight=False, soft_wrap=True)
    begun = runs.Run(options.out, config, options.data, data.fingerprint(rows), {})
    made = runs.begin(begun)
    try:
        train.train(begun, rows, resume=False, quiet=options.quiet)
    except ArithmeticError as error:
        back = runs.restore(begun)
        said = (
            f"; {options.out} holds the earlier run again, nothing of this one, its "
            "checkpoint neither"
        )
        raise ArithmeticError(f"{error}{said if back else ''}") from error
    except Exception:
        runs.forget(begun, made)
        raise
    for name in runs.FILES:
        console.print(f"wrote {options.out / name}", highlight=False, soft_wrap=True)
