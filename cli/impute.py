"""Complete what samples lack: modalities and single entries."""

import argparse
from pathlib import Path

import jax
import numpy as np

from consilience.cli import applied, completion, outputs, runs
from consilience.cli.arguments import add_data, add_draws, add_run
from consilience.cli.picture_of_completion import completed_columns
from consilience.cli.pictures import SUFFIXES
from consilience.experiments.options import a_path, share
from consilience.experiments.pictures import save

FORMATS = ("csv", "parquet")

USAGE = "consilience impute RUN DATA [--out FOLDER] [options]"
EXAMPLES = """examples:
  consilience impute run measurements --out imputed
  consilience impute run measurements --intervals ends --picture imputed.png
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of completing."""
    add_run(parser)
    add_data(parser)
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out",
        type=a_path,
        default=Path("imputed"),
        metavar="FOLDER",
        help="a table for each modality",
    )
    output.add_argument(
        "--format", choices=FORMATS, default="csv", help="of the tables"
    )
    output.add_argument(
        "--intervals",
        type=a_path,
        metavar="FOLDER",
        default=argparse.SUPPRESS,
        help="also write MODALITY.lower and MODALITY.upper, the ends of predictive "
        "intervals, empty where a value was measured",
    )
    output.add_argument(
        "--picture",
        type=a_path,
        metavar="FILE",
        default=argparse.SUPPRESS,
        help=f"also draw columns as measured and as completed ({', '.join(SUFFIXES)})",
    )
    output.add_argument("--overwrite", action="store_true", help="replace files")
    what = parser.add_argument_group("what to write")
    what.add_argument(
        "--estimate",
        choices=completion.ESTIMATES,
        default="mean",
        help="of the predictive distribution: its mean, its median or a draw (with "
        "another --seed another one)",
    )
    what.add_argument(
        "--probability", type=share, default=0.9, help="that an interval should cover"
    )
    add_draws(parser, 500, "of each sample, for means, medians and intervals")


def run(options: argparse.Namespace) -> None:
    """Complete DATA with the model in RUN: every sample gets every modality.

    What was measured stays as it was, to the last bit; what was not is filled with
    predictions from all that the sample has, in the units of DATA. DATA may lack whole
    modalities. The mean of a count is no whole number and that of zeros and ones is a
    probability; medians are values that can be measured.
    """
    lower_upper = getattr(options, "intervals", None)
    picture = getattr(options, "picture", None)
    _check_picture(picture)
    for place in (options.out / "_", (lower_upper or options.out) / "_"):
        outputs.check_place(place)
    found = applied.apply(options.run_folder, options.data)
    tables = _paths(found, options.out, options.format)
    ends = {} if lower_upper is None else _ends(found, lower_upper, options.format)
    new = [*tables.values(), *(path for pair in ends.values() for path in pair)]
    new += [picture] * (picture is not None)
    read = (options.data, *runs.files(options.run_folder))
    outputs.check_free(new, options.overwrite, read)
    outputs.make_folders(new)
    keys = jax.random.split(jax.random.key(options.seed))
    estimates = completion.estimates(keys[0], found, options.estimate, options.draws)
    for name, path in tables.items():
        frame = completion.table(found, name, estimates[name], options.format)
        outputs.write_table(frame, path)
        print(f"wrote {path}{_said(found, name, estimates[name])}")
    if ends:
        settings = (options.probability, options.draws)
        for name, pair in completion.intervals(keys[1], found, *settings).items():
            for values, path in zip(pair, ends[name], strict=True):
                outputs.write_table(completion.only_missing(found, name, values), path)
                print(f"wrote {path}")
    if picture is not None:
        save(
            completed_columns(found.rows, completion.in_units(found), estimates),
            picture,
        )
        print(f"wrote {picture}")


def _said(found: applied.Applied, name: str, estimates: np.ndarray) -> str:
    missing = ~np.asarray(found.rows.observed(name))
    rows = int((~np.asarray(found.rows.present[:, found.rows.index(name)])).sum())
    left = int((missing & np.isnan(estimates)).sum())
    completed = (
        f": {missing.sum() - left} values completed, {rows} samples had none of "
    )
    unknown = f"; {left} values left empty, of columns that no training sample has"
    return completed + name + unknown * bool(left)


def _paths(found: applied.Applied, folder: Path, ending: str) -> dict[str, Path]:
    """A file for each modality; slashes of names as in AnnData become underscores."""
    paths = {n: folder / f"{n.replace('/', '_')}.{ending}" for n in found.rows.names}
    if len(set(paths.values())) < len(paths):
        raise ValueError(
            f"--out: expected modalities whose names differ as names of files, got "
            f"{', '.join(paths)}"
        )
    return paths


def _ends(found: applied.Applied, folder: Path, ending: str) -> dict:
    paths = _paths(found, folder, ending)
    return {
        name: tuple(
            path.with_name(f"{path.stem}.{end}.{ending}") for end in ("lower", "upper")
        )
        for name, path in paths.items()
    }


def _check_picture(path: Path | None) -> None:
    if path is not None and not outputs.is_picture(path):
        raise ValueError(
            f"--picture: expected a file that ends in {', '.join(SUFFIXES)}, got "
            f"{str(path)!r}"
        )
