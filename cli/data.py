"""Rows of a run: read, split, cast and scaled as its configuration says."""

import dataclasses
import hashlib
from collections.abc import Mapping
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import consilience as cs
from consilience.cli.choices import of_modality
from consilience.cli.defaults import WHOLE
from consilience.cli.names import check_known
from consilience.datasets import precision, validation
from consilience.datasets.checks import observed_entries
from consilience.datasets.contents import Arrays
from consilience.datasets.frames import INDEX
from consilience.datasets.read import read_named as named
from consilience.datasets.validation import Labels
from consilience.training.fingerprint import digest


def read(config: Mapping, path: Path) -> Arrays:
    """What stands in the files, in full precision; else as `read_named`."""
    return read_named(config, path)[0]


def read_named(
    config: Mapping, path: Path, like: cs.MultimodalData | None = None
) -> tuple[Arrays, str]:
    """What stands in the files, and the name of the column of sample ids.

    Args:
        config: keys of the run.
        path: of the data.
        like: rows of the run; modalities that the files lack are absent in all rows.

    Raises:
        ValueError: a file is refused, or holds a modality that the run does not know.
    """
    found, id_name = named(
        path,
        samples=config["samples"],
        modalities=config["modalities"],
        covariates=_covariates(config["covariates"]),
        categories=config["categories"],
        id_column=config["id_column"],
        transpose=_transpose(config["transpose"]),
    )
    found = found if like is None else _completed(found, path, like)
    return found, id_name or INDEX


def rows(arrays: Arrays, config: Mapping) -> cs.MultimodalData:
    """The rows, unscaled."""
    empty = config["allow_empty_rows"]
    return cs.MultimodalData.from_arrays(**arrays._asdict(), allow_empty_rows=empty)


def anywhere(config: dict) -> dict:
    """With the path of a table of covariates in full, for runs that go on elsewhere."""
    path = _covariates(config["covariates"])
    return (
        config | {"covariates": [str(path.resolve())]}
        if isinstance(path, Path)
        else config
    )


def _transpose(given: str | list[str] | None) -> bool | list[str] | None:
    """All modalities, none of them, or some by name; None if nothing was said."""
    return {"all": True, "none": False}[given] if isinstance(given, str) else given


def _covariates(names: list[str] | None) -> Path | list[str] | None:
    """A table of covariates by its path, or the names of columns."""
    one = Path(names[0]) if names and len(names) == 1 else Path()
    return one if one.suffix and one.is_file() else names


def _completed(found: Arrays, path: Path, like: cs.MultimodalData) -> Arrays:
    check_known(str(path), "modality in the run called", found.values, like.names)
    size = len(next(iter(found.values.values())))
    values, features = {}, dict(found.feature_names or {})
    for i, name in enumerate(like.names):
        if name not in found.values:
            shape = (size, *like.event_shapes[i])
            dtype = np.asarray(like.values[name]).dtype
            values[name] = np.ma.masked_all(shape, dtype)
            features[name] = like.feature_names[i] if like.feature_names else ()
        else:
            values[name] = found.values[name]
    known = {name: names for name, names in features.items() if len(names)}
    return found._replace(values=values, feature_names=known)


def fingerprint(data: cs.MultimodalData) -> str:
    """SHA-256 of rows, names and numbers."""
    said = (data.names, data.event_shapes, data.row_names, data.feature_names)
    found = hashlib.sha256(repr(said).encode())
    found.update(digest(data.bare()).encode())
    return found.hexdigest()


def held_out(size: int, share: float) -> int:
    """How many rows are held out.

    Raises:
        ValueError: there are too few rows to hold out any.
    """
    held = max(1, round(share * size)) if share else 0
    if held >= size:
        raise ValueError(
            f"validation: expected rows to train on beside a share of {share:g}, got "
            f"{size} in all"
        )
    return held


def split(
    data: cs.MultimodalData, share: float
) -> tuple[cs.MultimodalData, cs.MultimodalData | None]:
    """Rows to train on and rows to hold out, the same ones for every seed."""
    train, held = places(data.size, share)
    return (data.take(train), data.take(held)) if len(held) else (data, None)


def places(size: int, share: float) -> tuple[np.ndarray, np.ndarray]:
    """Where rows to train on stand, and rows to hold out."""
    held = held_out(size, share)
    order = np.asarray(jax.random.permutation(jax.random.key(0), size))
    return np.sort(order[held:]), np.sort(order[:held])


def cast(data: cs.MultimodalData, config: Mapping) -> cs.MultimodalData:
    """Whole numbers where the likelihood is one of whole numbers, floats elsewhere.

    What is no whole number stays what it is, and is refused with row and value later.
    """
    values = {}
    for name in data.names:
        x, observed = data.arrays_of(name)
        if of_modality(config["likelihoods"], name)["name"] not in WHOLE:
            values[name] = _floats(data.labels()[name], x, observed)
        elif x.dtype.kind == "f" and (x == np.round(x)).all():
            values[name] = jnp.asarray(_whole(data.labels()[name], x, observed))
        else:
            values[name] = data.values[name]
    return dataclasses.replace(data, values=values)


def _floats(labels: Labels, x: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Whole numbers as floats: those that float32 has not stay in float64, as floats do."""
    if x.dtype.kind == "f":
        return precision.on_device(x)
    name = f"modality {labels.modality!r}"
    rounding = validation.roundings(len(x), {name: x.shape[1:]})[name]
    rounding.add(0, x.astype(np.float64), observed)
    found = rounding.found()
    precision.warn({name: found}, {name: labels})
    return precision.on_device(x.astype(precision.held(np.dtype(float), found)))


def _whole(labels: Labels, x: np.ndarray, observed: np.ndarray) -> np.ndarray:
    """Floats that are whole numbers as such.

    Raises:
        ValueError: one does not fit.
    """
    argument = f"values[{labels.modality!r}]"
    return validation.cast(argument, labels, x.astype(np.int64), observed)


def unscaled(data: cs.MultimodalData, config: Mapping) -> cs.MultimodalData:
    """As the model sees rows but for their scale: cast, with entry masks if asked for."""
    data = cast(data, config)
    if not config["entry_masks"]:
        return data
    entries = {n: jnp.asarray(observed_entries(data, n)) for n in data.names}
    return dataclasses.replace(data, entries=entries)


def prepared(data: cs.MultimodalData, config: Mapping) -> cs.MultimodalData:
    """As the model sees rows, scaled by these very rows."""
    data = unscaled(data, config)
    names, log = (
        () if config[k] == "none" else config[k] for k in ("standardize", "log")
    )
    return data.standardize(names, log=log) if names else data


def like(data: cs.MultimodalData, config: Mapping, trained: cs.MultimodalData):
    """Other rows, scaled as those that the model was trained on."""
    data = cast(data, config)
    return data if trained.standardization is None else data.standardize(like=trained)
