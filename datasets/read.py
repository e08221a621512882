"""`read`: one front door for the files and objects that data come in."""

from collections.abc import Mapping
from pathlib import Path

from consilience.datasets.contents import (
    Arrays,
    Contents,
    Modalities,
    with_all_modalities,
)
from consilience.datasets.covariates import covariates_of
from consilience.datasets.data import MultimodalData
from consilience.datasets.files import front_door, path_of
from consilience.datasets.matching import matched
from consilience.datasets.notes import Categories
from consilience.datasets.orientation import Transpose, turned
from consilience.datasets.read_anndata import (
    PACKAGES,
    is_omics,
    read_omics,
    read_omics_file,
)
from consilience.datasets.read_folder import (
    SUFFIXES,
    is_table,
    read_file,
    read_folder,
)
from consilience.datasets.read_frames import is_frame, read_mapping
from consilience.datasets.read_npz import read_npz

SAMPLES = ("union", "intersection")


def read(
    source: object,
    *,
    samples: str = "union",
    modalities: Modalities = None,
    covariates: object = None,
    categories: Categories = None,
    id_column: str | None = None,
    transpose: Transpose = None,
    allow_empty_rows: bool = False,
) -> MultimodalData:
    """Read measurements of the same samples; what is missing is masked.

    Args:
        source: modality → array `[N, *event]` or → DataFrame (the index has the sample
            ids), a folder of CSV, TSV or Parquet files (one a modality, called after the
            file), one such file, `.npz` (`help(consilience.datasets.read_npz)` has the
            layouts), `.h5ad`, `.h5mu`, an AnnData, several by name, or a MuData.
        samples: "union" for rows of all samples, with what a sample lacks masked, in the
            order in which modalities first name them; "intersection" for those that have
            every modality, in the order of the first.
        modalities: names to read, in this order; or a mapping from the name in the data
            set to that in the source. In an AnnData they are "X", "layers/…", "obsm/…",
            in a MuData these after "<modality>/". Nothing else is looked at then.
        covariates: names of columns of the source (`covariates.csv` of a folder, `obs`,
            `covariate_…` or `label_…` of `.npz`); a DataFrame or a table file of their
            own; of arrays, name → `[N, ...]`. None means the whole of `covariates.csv` and
            `covariate_…`, nothing of `obs` and `label_…`. Every row must have them.
        categories: covariate of text → its categories, for whole numbers in the order of
            this list. They are never guessed, so that new rows are coded like old ones.
        id_column: column of the files that has the sample ids, by default the first. It
            says also that the first line of a text file has names of columns, should it
            look like a sample.
        transpose: True if samples stand in the columns of all tables, or the names of
            the modalities in which they do; False if in none. None refuses tables that
            look like it. Covariates have samples in rows whatever it is.
        allow_empty_rows: accept samples without any measurement.

    Returns:
        unscaled rows; whole numbers stay whole numbers, also where some are missing.

    Raises:
        TypeError: a source or an argument of another kind.
        ValueError: naming file, sample, column, what was expected and what came.
        OSError: a file is not there or cannot be opened.
        ImportError: a package for this file is not installed, with what to install.
    """
    arrays = read_arrays(
        source,
        samples=samples,
        modalities=modalities,
        covariates=covariates,
        categories=categories,
        id_column=id_column,
        transpose=transpose,
    )
    return MultimodalData.from_arrays(
        **arrays._asdict(), allow_empty_rows=allow_empty_rows
    )


def read_arrays(
    source: object,
    *,
    samples: str = "union",
    modalities: Modalities = None,
    covariates: object = None,
    categories: Categories = None,
    id_column: str | None = None,
    transpose: Transpose = None,
) -> Arrays:
    """As `read`, but the arguments of `MultimodalData.from_arrays`, in full precision."""
    return read_named(
        source,
        samples=samples,
        modalities=modalities,
        covariates=covariates,
        categories=categories,
        id_column=id_column,
        transpose=transpose,
    )[0]


def read_named(
    source: object,
    *,
    samples: str,
    modalities: Modalities,
    covariates: object,
    categories: Categories,
    id_column: str | None,
    transpose: Transpose = None,
) -> tuple[Arrays, str | None]:
    """As `read_arrays`, and what files call the column of the sample ids."""
    if samples not in SAMPLES:
        raise ValueError(
            f"samples: expected 'union' or 'intersection', got {samples!r}"
        )
    with front_door(_place(source)):
        found = turned(_contents(source, modalities, id_column), transpose)
        return _rows(found, samples, covariates, categories, id_column), found.id_name


def _place(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else "source"


def _rows(found: Contents, samples: str, covariates, categories, id_column) -> Arrays:
    """Matched rows with their covariates."""
    arrays = found.arrays
    if found.tables is not None:
        arrays = matched(found.tables, samples)
    more = covariates_of(covariates, categories, id_column, found, arrays.row_names)
    arrays = arrays._replace(covariates=more)
    if samples == "intersection":
        arrays = with_all_modalities(arrays)
    return arrays


def _contents(source, modalities: Modalities, id_column: str | None) -> Contents:
    if isinstance(source, str | Path):
        return _from_path(path_of("source", source), modalities, id_column)
    if id_column is not None:
        raise ValueError(
            f"id_column: expected it with files of tables only, got {id_column!r}"
        )
    if is_omics(source):
        return read_omics(source, modalities)
    if isinstance(source, Mapping):
        return read_mapping(source, modalities)
    raise TypeError(
        "source: expected a mapping from modality to array or DataFrame, a path, an "
        f"AnnData or a MuData, got {type(source).__name__}"
        + "; give it a name, {'a': ...}"
        * is_frame(source)
    )


def _from_path(path: Path, modalities: Modalities, id_column: str | None) -> Contents:
    if path.is_dir():
        return read_folder(path, modalities, id_column)
    if is_table(path):
        return read_file(path, modalities, id_column)
    if id_column is not None:
        raise ValueError(
            f"id_column: expected it with files of tables only, got it with {path.name}"
        )
    if path.suffix == ".npz":
        return read_npz(path, modalities)
    if path.suffix in PACKAGES:
        return read_omics_file(path, modalities)
    known = ", ".join((*SUFFIXES, ".npz", *PACKAGES))
    raise ValueError(f"source: expected a folder or a file {known}, got {path.name}")
