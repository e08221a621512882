"""Options that several commands share."""

import argparse

from consilience.experiments.options import a_path, seed, whole_number


def add_data(parser: argparse.ArgumentParser, default: str = "") -> None:
    """DATA, which may be left out where there is a default."""
    parser.add_argument(
        "data",
        type=a_path,
        metavar="DATA",
        nargs="?" if default else None,
        help="folder of CSV, TSV or Parquet files, one a modality; or .npz, .h5ad, .h5mu"
        + (f" (default: {default})" if default else ""),
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    """RUN."""
    parser.add_argument(
        "run_folder",
        type=a_path,
        metavar="RUN",
        help="folder that `consilience fit` wrote",
    )


def add_draws(parser: argparse.ArgumentParser, default: int, what: str) -> None:
    """`--draws` and `--seed`."""
    parser.add_argument(
        "--draws", type=whole_number(2), default=default, metavar="NUMBER", help=what
    )
    parser.add_argument(
        "--seed",
        type=seed,
        default=0,
        metavar="NUMBER",
        help="of the draws, which follow the place of a sample, not its id",
    )
