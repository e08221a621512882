"""`stream`: one front door for what is read from disk while training."""

import os
import warnings
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from consilience.datasets.contents import Arrays, Modalities, chosen
from consilience.datasets.files import check_regular, front_door, parsing, path_of
from consilience.datasets.names import few
from consilience.datasets.npy_folder import open_folder
from consilience.datasets.roles import (
    COVARIATE,
    FEATURES,
    MASK,
    modalities_among,
    texts,
)
from consilience.datasets.streaming import StreamedData

HDF5, ZARR = "a whole .h5ad file", "a whole zarr group"


def stream(
    source: object,
    *,
    modalities: Modalities = None,
    allow_empty_rows: bool = False,
) -> StreamedData:
    """Open what is larger than memory, and read it once to validate it.

    Args:
        source: path of a folder of `.npy` files or a zarr group, whose arrays are called
            as in `.npz` (`help(consilience.datasets.read_npz)`): `<modality>`, and where
            there are any `present`, `mask_<modality>`, `covariate_<name>`, `row_names`,
            `features_<modality>`; or AnnData as `.h5ad` or zarr.
        modalities: names to stream, in this order, or a mapping from the name in the data
            set to that in the source; by default all in alphabetical order. In an AnnData
            they are "X", "layers/…", "obsm/…", by default X alone.
        allow_empty_rows: accept rows without any measurement.

    Raises:
        TypeError: the source is in memory.
        ValueError: naming file, modality, row, column, what was expected and what came.
        OSError: a file is not there or cannot be opened.
        ImportError: a package for this file is not installed, with what to install.
    """
    path = path_of("source", source)
    with front_door(f"{path}"):
        arrays = _arrays(path, modalities)._asdict()
        return StreamedData.from_arrays(**arrays, allow_empty_rows=allow_empty_rows)


def _arrays(path: Path, modalities: Modalities) -> Arrays:
    if path.suffix == ".h5ad":
        return _annotated(path.name, _file(path), modalities)
    if not path.is_dir():
        raise ValueError(
            "source: expected a folder of .npy files, a zarr group or a file .h5ad, got "
            f"{path.name}; consilience.read takes other files into memory"
        )
    if not any((path / name).exists() for name in ("zarr.json", ".zgroup")):
        return _laid_out(str(path), open_folder(path, modalities), modalities)
    group = _group(path)
    if group.attrs.get("encoding-type") == "anndata":
        return _annotated(path.name, group, modalities)
    found = dict(sorted(group.arrays()))
    more = [name for name in group.group_keys() if modalities is None]
    if more or not found:
        raise ValueError(f"{path}: expected a group of arrays, got {more or 'none'}")
    return _laid_out(str(path), found, modalities)


def _laid_out(place: str, found: Mapping, modalities: Modalities) -> Arrays:
    """Modalities and what describes them, told apart by their names as in `.npz`."""
    own = modalities_among(place, found, modalities)
    wanted = chosen(modalities, own, place)
    about = {name: found[name] for name in found if name not in own}
    masks = {n: about[f"{MASK}{k}"] for n, k in wanted.items() if f"{MASK}{k}" in about}
    rows = {n: np.asarray(x[:]) for n, x in masks.items() if x.ndim == 1}
    features = {n: about.get(f"{FEATURES}{key}") for n, key in wanted.items()}
    names = about.get("row_names")
    return Arrays(
        {name: found[key] for name, key in wanted.items()},
        _present(place, about.get("present"), own, wanted, rows),
        {
            n.removeprefix(COVARIATE): x
            for n, x in about.items()
            if n.startswith(COVARIATE)
        },
        {n: x for n, x in masks.items() if n not in rows},
        None if names is None else texts(f"{place}: row_names", names[:]),
        {
            n: texts(f"{place}: {FEATURES}{n}", x[:])
            for n, x in features.items()
            if x is not None
        },
    )


def _present(place: str, given, own: list[str], wanted: Mapping, rows: Mapping):
    """By modality, from columns in the order of `own` and from masks of rows."""
    if given is None:
        return rows or None
    columns = np.asarray(given[:])
    if columns.ndim != 2 or columns.shape[1] != len(own):
        raise ValueError(
            f"{place}: present: expected a column for each of {few(own, 20)}, got shape "
            f"{columns.shape}"
        )
    found = {name: columns[:, own.index(key)] for name, key in wanted.items()}
    return {name: column & rows.get(name, True) for name, column in found.items()}


def _annotated(place: str, group, modalities: Modalities) -> Arrays:
    """AnnData by its parts: `X`, `layers/…`, `obsm/…`; the rest is not read."""
    from anndata.io import read_elem, sparse_dataset

    with parsing(place, "AnnData with groups of layers and obsm"):
        found = {"X": group["X"]} if "X" in group else {}
        for part in ("layers", "obsm"):
            inside = group.get(part, {})
            found |= {f"{part}/{name}": inside[name] for name in inside}
    wanted = chosen(["X"] if modalities is None else modalities, found, place)
    values = {n: found[key] for n, key in wanted.items()}
    with parsing(place, "AnnData with names of rows in obs and of columns in var"):
        obs, var = (
            read_elem(group[part][group[part].attrs["_index"]])
            for part in ("obs", "var")
        )
        values = {
            n: x if hasattr(x, "dtype") else sparse_dataset(x)
            for n, x in values.items()
        }
    return Arrays(
        values,
        row_names=obs,
        feature_names={n: var for n, key in wanted.items() if key[:4] != "obsm"},
    )


def _file(path: Path):
    h5py = _package(path, "h5py")
    _package(path, "anndata")
    with parsing(f"{path}", HDF5):
        return h5py.File(path, "r")


def _group(path: Path):
    zarr = _package(path, "zarr")
    for folder, _, names in os.walk(path):
        for name in names:
            check_regular("source", Path(folder) / name)
    with parsing(f"{path}", ZARR), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of zarr about its own formats
        return zarr.open_group(path, mode="r")


def _package(path: Path, name: str):
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of these packages about pandas
            return __import__(name)
    except ImportError as error:
        raise ImportError(
            f"{path.name}: expected the package {name} to stream it; pip install "
            "'consilience[omics]'"
        ) from error
