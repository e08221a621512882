"""AnnData and MuData, in memory or as .h5ad and .h5mu; needs the extra `omics`."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consilience.datasets.contents import Contents, Modalities, check_once, chosen
from consilience.datasets.files import check_fits, parsing
from consilience.datasets.notes import Notes, notes_of_frame
from consilience.datasets.tables import (
    Table,
    check_finite,
    column_names,
    sample_ids,
    table,
)

if TYPE_CHECKING:
    from anndata import AnnData
    from mudata import MuData

PACKAGES = {".h5ad": "anndata", ".h5mu": "mudata"}
MOST_BYTES = 8 * 2**30


def is_omics(source: object) -> bool:
    """Whether it is an AnnData or MuData, which need not be imported to know."""
    return any(
        (kind.__module__.partition(".")[0], kind.__name__)
        in {("anndata", "AnnData"), ("mudata", "MuData")}
        for kind in type(source).__mro__
    )


def read_omics_file(path: Path, modalities: Modalities) -> Contents:
    """A file of AnnData or MuData.

    Raises:
        ImportError: the package is not installed.
        ValueError: the file is damaged or another's.
    """
    package = PACKAGES[path.suffix]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of these packages about pandas
            module = __import__(package)
    except ImportError as error:
        raise ImportError(
            f"{path.name}: {path.suffix} needs {package}; pip install "
            "'consilience[omics]'"
        ) from error
    whole = f"a whole {path.suffix} file"
    with parsing(path.name, whole):
        size = _unpacked(path)
    check_fits(path.name, size, "stream reads an .h5ad from disk")
    with parsing(path.name, whole), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        read = module.read_h5ad if package == "anndata" else module.read_h5mu
        source = read(path)
    return read_omics(source, modalities, path.name)


def _unpacked(path: Path) -> int:
    """Bytes that the arrays of an HDF5 file say they have."""
    import h5py

    sizes = []

    def visit(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            sizes.append(int(item.size or 0) * item.dtype.itemsize)

    with h5py.File(path, "r") as file:
        file.visititems(visit)
    return sum(sizes)


def read_omics(
    source: "AnnData | MuData", modalities: Modalities, place: str | None = None
) -> Contents:
    """Modalities of an annotated matrix, or of several.

    Of an AnnData, "X" by default; "layers/<name>" and "obsm/<name>" are others. Of a
    MuData, the X of each of its AnnDatas by default; "<modality>/layers/<name>" and so on
    are others. A list names them by what stands after the last "/", a mapping as you like.
    Columns of `obs` become covariates if they are named.

    Raises:
        ValueError: names are not unique, or a sparse matrix is too large when dense.
    """
    place = place or type(source).__name__
    places = _addresses(source)
    usual = list(source.mod) if hasattr(source, "mod") else ["X"]
    if not usual:
        raise ValueError(f"{place}: expected at least one modality, got none")
    wanted = chosen(_named(modalities), usual if modalities is None else places, place)
    tables = {n: places[key](f"{place}[{key!r}]") for n, key in wanted.items()}
    return Contents(place, tables=tables, notes=_notes(place, source))


def _named(modalities: Modalities) -> Modalities:
    """A list of addresses as a mapping from their last parts."""
    if not isinstance(modalities, list | tuple):
        return modalities
    names = [str(key).rpartition("/")[2] for key in modalities]
    check_once("modalities", names)
    return dict(zip(names, modalities, strict=True))


def _addresses(source) -> dict:
    """What can be read by name: functions of a place that make its table."""
    if hasattr(source, "mod"):
        found = {}
        for name, part in source.mod.items():
            if hasattr(part, "mod"):
                raise ValueError(
                    f"source: expected an AnnData for each modality, got a MuData for "
                    f"{name!r}; give its parts by themselves, {{name: AnnData}}"
                )
            inner = _addresses(part)
            found[name] = inner["X"]
            found |= {f"{name}/{key}": read for key, read in inner.items()}
        return found
    found = {"X": lambda place: _matrix(place, source, source.X)}
    for name in source.layers:
        if name is not None:
            found[f"layers/{name}"] = lambda place, name=name: _matrix(
                place, source, source.layers[name]
            )
    for name in source.obsm:
        found[f"obsm/{name}"] = lambda place, name=name: _multi(
            place, source, source.obsm[name]
        )
    return found


def _matrix(place: str, source: "AnnData", matrix) -> Table:
    if matrix is None:
        raise ValueError(f"{place}: expected a matrix, got none; name a layer")
    columns = column_names(place, source.var_names)
    return _table(place, source, columns, matrix)


def annotated_table(place: str, source: "AnnData") -> Table:
    """Its X, with the names of its rows and columns."""
    return _matrix(place, source, source.X)


def _multi(place: str, source: "AnnData", matrix) -> Table:
    """A part of obsm; frames have names of columns, arrays have none."""
    if hasattr(matrix, "columns"):
        return table(place, source.obs_names, matrix.columns, matrix)
    return _table(place, source, (), matrix)


def _table(place: str, source: "AnnData", columns: Sequence[str], matrix) -> Table:
    ids = sample_ids(place, source.obs_names)
    values = np.asarray(dense(place, matrix))
    if values.dtype.kind not in "fiub" or 0 in values.shape:
        raise ValueError(
            f"{place}: expected numbers with rows and columns, got {values.dtype} of shape "
            f"{values.shape}"
        )
    if values.dtype.kind == "f":
        values = np.ma.array(values, mask=np.isnan(values))
    values = np.ma.asarray(values)
    check_finite(place, ids, columns, values)
    return Table(place, ids, tuple(columns), values)


def dense(place: str, matrix):
    """A dense copy of a sparse matrix, if it is not enormous; others as they are.

    Raises:
        ValueError: it is.
    """
    if not hasattr(matrix, "toarray") and not hasattr(matrix, "to_memory"):
        return matrix
    size = int(np.prod(matrix.shape)) * matrix.dtype.itemsize
    if size > MOST_BYTES:
        raise ValueError(
            f"{place}: expected a matrix of at most {MOST_BYTES / 2**30:.0f} GiB, got one "
            f"of {size / 2**30:.1f} GiB when dense; choose columns (highly variable "
            "genes), or make it dense yourself"
        )
    matrix = matrix.to_memory() if hasattr(matrix, "to_memory") else matrix
    return matrix.toarray()


def _notes(place: str, source) -> Notes:
    """Columns of `obs`; those of a modality are called "<modality>:<column>"."""
    frame = source.obs.copy()
    for name, part in getattr(source, "mod", {}).items():
        inner = part.obs.reindex(source.obs_names).add_prefix(f"{name}:")
        frame = frame.join(inner[[c for c in inner if c not in frame]])
    ids = sample_ids(place, source.obs_names)
    return notes_of_frame(f"{place}.obs", ids, frame, default=())
