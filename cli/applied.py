"""A trained run applied to data: what `encode`, `impute` and `evaluate` begin with."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Bool

import consilience as cs
from consilience.cli import data, runs
from consilience.cli.names import check_known
from consilience.datasets.align import align_arrays
from consilience.datasets.contents import Arrays, arrays_of_rows
from consilience.inference.support import check_support

if TYPE_CHECKING:
    from pandas import Index

REMEDY = "train again with --entry-masks true"


class Applied(NamedTuple):
    """A fit and the rows it is applied to.

    Attributes:
        run: what the folder says.
        fitted: the trained model.
        arrays: the data as they stand in the files.
        rows: the same as the model sees them.
        id_name: of the column of sample ids in the files.
    """

    run: runs.Run
    fitted: cs.Fitted
    arrays: Arrays
    rows: cs.MultimodalData
    id_name: str


def apply(folder: Path, path: Path) -> Applied:
    """Read a run and the data that it is to be applied to.

    Raises:
        ValueError: there is no trained run, or the data are not such as it was trained on.
    """
    run = runs.read(folder)
    fitted = runs.load(run)
    arrays, id_name = data.read_named(run.config, path, fitted.schema)
    arrays = align_arrays(arrays, fitted.schema, str(path), REMEDY)
    rows = data.rows(arrays, run.config)
    _check_columns(f"{path}", rows, fitted.schema, folder)
    rows = data.like(rows, run.config, fitted.schema)
    fitted.evaluate(check_support, jax.random.key(0), rows)
    return Applied(run, fitted, arrays, rows, id_name)


def of_rows(found: Applied, places: np.ndarray) -> Applied:
    """The same, of some rows alone."""
    arrays = arrays_of_rows(found.arrays, places)
    return found._replace(arrays=arrays, rows=found.rows.take(places))


def sample_index(found: Applied) -> "Index":
    """Names of rows, or their numbers, called as in the files."""
    import pandas as pd

    names = found.rows.row_names or range(found.rows.size)
    return pd.Index(list(names), name=found.id_name)


def given(
    rows: cs.MultimodalData, names: Sequence[str] | None
) -> Bool[Array, "rows modalities"]:
    """What to condition on: the named modalities as far as a row has them, or all.

    Raises:
        ValueError: a name is unknown.
    """
    if not names:
        return rows.present
    check_known("--given", "modality called", names, rows.names)
    return rows.subset_of(*names)


def add_given(parser: argparse.ArgumentParser) -> None:
    """`--given MODALITY ...`."""
    parser.add_argument(
        "--given",
        nargs="+",
        metavar="MODALITY",
        default=argparse.SUPPRESS,
        help="modalities to condition on, after RUN and DATA (default: all that a sample "
        "has)",
    )


def _check_columns(
    place: str, rows: cs.MultimodalData, schema: cs.MultimodalData, run: Path
) -> None:
    for i, name in enumerate(schema.names):
        where = f"{place}: modality {name!r}"
        if rows.event_shapes[i] != schema.event_shapes[i]:
            raise ValueError(
                f"{where}: expected measurements of shape {schema.event_shapes[i]} as in "
                f"{run}, got {rows.event_shapes[i]}"
            )
        if name in rows.entries and name not in schema.entries:
            raise ValueError(
                f"{where}: single entries are missing, and {run} was trained on rows that "
                f"miss none of this modality; {REMEDY}"
            )
