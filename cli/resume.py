"""Go on with a training that was stopped."""

import argparse

from consilience.cli import runs, train
from consilience.cli.arguments import add_run
from consilience.experiments.options import a_path
from consilience.training.checkpoints import OtherRunError

EXAMPLES = """examples:
  consilience resume run
  consilience resume run --data moved/measurements
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of going on."""
    add_run(parser)
    parser.add_argument(
        "--data",
        type=a_path,
        metavar="DATA",
        default=argparse.SUPPRESS,
        help="where the data are now (default: where they were)",
    )
    parser.add_argument("--quiet", action="store_true", help="no progress")


def run(options: argparse.Namespace) -> None:
    """Go on with the training in the folder RUN from its last checkpoint.

    Configuration and data are those it was begun with; the result is, to the last bit, that
    of a training that was never stopped.
    """
    begun = runs.read(options.run_folder)
    rows = runs.rows(begun, getattr(options, "data", None))
    try:
        train.train(begun, rows, resume=True, quiet=options.quiet)
    except (TypeError, ValueError) as error:
        another = isinstance(error, OtherRunError)
        said = (another and runs.edited(begun)) or error
        anew = f"consilience fit {begun.path} --config {begun.folder / runs.CONFIG}"
        raise ValueError(
            f"{said}. `{anew} --out ANOTHER_RUN` begins the same training anew"
        ) from error
    print(f"wrote {begun.folder / runs.MODEL}")
