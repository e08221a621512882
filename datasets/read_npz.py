"""NumPy archives: rows in one order, one array a modality."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from consilience.datasets.archives import load_arrays
from consilience.datasets.contents import Arrays, Contents, Modalities, Notes, chosen
from consilience.datasets.names import few
from consilience.datasets.roles import (
    COVARIATE,
    FEATURES,
    MASK,
    modalities_among,
    texts,
)


def read_npz(path: Path, modalities: Modalities) -> Contents:
    """Arrays by modality, in one of two layouts.

    Plain: every array is the modality of its name, `[N, *event]`, except
    `features_<modality>` (names of columns), `mask_<modality>` (`[N]`: the modality was
    measured, or `[N, *event]`: the entry was), `present` (`[N, M]`, columns in the order
    of the modalities in the file), `row_names` (`[N]`) and `covariate_<name>` (`[N, ...]`).

    Views: an array `views` lists the modalities; `x_<view>`, `mask_<view>` and
    `features_<view>` belong to one each, `sample_id` names the rows, and `label_<name>`
    may become covariates if they are named.

    Arrays without axes are remarks and not read. What is called as if it described another
    array (`mask_A`, where the modality is `a`) is refused unless `modalities` names it.

    Raises:
        ValueError: the file is damaged, holds objects, or an array belongs nowhere.
    """
    arrays = {name: x for name, x in load_arrays(path).items() if x.ndim}
    layout = _views if "views" in arrays else _plain
    return layout(path.name, arrays, modalities)


def _plain(place: str, arrays: dict, modalities: Modalities) -> Contents:
    own = modalities_among(place, arrays, modalities)
    present, names = arrays.get("present"), _texts(place, "row_names", arrays)
    columns = {}
    if present is not None:
        if present.ndim != 2 or present.shape[1] != len(own):
            raise ValueError(
                f"{place}: present: expected a column for each of {few(own, 20)}, got "
                f"shape {present.shape}"
            )
        columns = {name: present[:, i] for i, name in enumerate(own)}
    columns = {name: _booleans(place, "present", x) for name, x in columns.items()}
    notes = _prefixed(COVARIATE, arrays)
    notes = Notes(place, tuple(names or ()), notes, tuple(notes))
    found = {name: arrays[name] for name in own}
    return _contents(place, found, columns, arrays, names, notes, modalities)


def _views(place: str, arrays: dict, modalities: Modalities) -> Contents:
    views = _texts(place, "views", arrays)
    labels, names = _prefixed("label_", arrays), _texts(place, "sample_id", arrays)
    known = {f"{p}{view}" for p in ("x_", MASK, FEATURES) for view in views}
    for name in arrays:
        if name not in known | {"views", "sample_id"} and not name.startswith("label_"):
            raise ValueError(
                f"{place}: expected x_, mask_ and features_ of the views "
                f"{few(views, 20)}, sample_id and label_ only, got {name!r}"
            )
    for view in views:
        if f"x_{view}" not in arrays:
            raise ValueError(
                f"{place}: expected the array 'x_{view}' of view {view!r}, got none"
            )
    found = {view: arrays[f"x_{view}"] for view in views}
    notes = Notes(place, tuple(names or ()), labels)
    return _contents(place, found, {}, arrays, names, notes, modalities)


def _contents(
    place: str, found: dict, present: dict, about: dict, row_names, notes, modalities
) -> Contents:
    wanted = chosen(modalities, found, place)
    entries, features, columns = {}, {}, {}
    for name, key in wanted.items():
        _check_numbers(place, key, found[key])
        if key in present:
            columns[name] = present[key]
        if f"{FEATURES}{key}" in about:
            features[name] = _texts(place, f"{FEATURES}{key}", about)
        mask = about.get(f"{MASK}{key}")
        if mask is None:
            continue
        mask = _booleans(place, f"{MASK}{key}", mask)
        if mask.ndim == 1 and found[key].ndim > 1:
            columns[name] = mask & columns.get(name, True)
        else:
            entries[name] = mask
    values = {name: found[key] for name, key in wanted.items()}
    arrays = Arrays(values, columns or None, None, entries, row_names, features)
    return Contents(place, arrays=arrays, notes=notes)


def _check_numbers(place: str, name: str, array: np.ndarray) -> None:
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{place}: {name!r}: expected numbers as a modality, got {array.dtype}; an "
            "array that describes others is called present, row_names, features_…, mask_… "
            "or covariate_…, and `modalities` names what to read"
        )


def _booleans(place: str, name: str, array: np.ndarray) -> np.ndarray:
    if array.dtype != bool:
        raise ValueError(f"{place}: {name}: expected booleans, got dtype {array.dtype}")
    return array


def _prefixed(prefix: str, arrays: Mapping) -> dict[str, np.ndarray]:
    return {
        name.removeprefix(prefix): x
        for name, x in arrays.items()
        if name.startswith(prefix)
    }


def _texts(place: str, name: str, arrays: Mapping) -> list[str] | None:
    return texts(f"{place}: {name}", arrays[name]) if name in arrays else None
