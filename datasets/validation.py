"""What `MultimodalData.from_arrays` accepts, and what it says of the rest."""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from consilience.datasets import precision
from consilience.datasets.moments import pieces
from consilience.datasets.names import check_visible, texts_of, visible

# sites of models and guides, and the prefix of the priors' parameters
RESERVED = ("data", "features", "prior", "w", "z")
RESERVED_COVARIATES = ("present", "subset")


class Labels(NamedTuple):
    """Names that make an error readable."""

    modality: str
    rows: tuple[str, ...]
    columns: tuple[str, ...] = ()
    event_shape: tuple[int, ...] = ()

    def row(self, n: int) -> str:
        return f"row {n} ({self.rows[n]!r})" if self.rows else f"row {n}"

    def column(self, column: Sequence[int] | np.ndarray) -> str:
        column = tuple(int(i) for i in column)
        if not column:
            return "its only column"
        number = column[0] if len(column) == 1 else column
        if not self.columns:
            return f"column {number}"
        name = self.columns[np.ravel_multi_index(column, self.event_shape)]
        return f"column {number} ({name!r})"

    def place(self, where: np.ndarray) -> str:
        n, *column = (int(i) for i in where)
        return f"{self.row(n)}, {self.column(column)}" if column else self.row(n)


def validate(
    values,
    present,
    covariates,
    entries,
    *,
    row_names,
    feature_names,
    allow_empty_rows,
    dtypes: Mapping[str, np.dtype] | None = None,
) -> dict:
    """Check everything and return the fields of a `MultimodalData`.

    `dtypes` says what the values of each modality are held in, and that what float32
    rounds has been said; by default both are done here.
    """
    values = _named(values)
    names = tuple(values)
    _known("entries", entries, names)
    _known("feature_names", feature_names, names)
    size = _num_rows(values)
    rows = unique_names("row_names", row_names, size)
    arrays, observed, columns, labels = {}, {}, {}, {}
    for name, value in values.items():
        arrays[name] = _numbers(f"values[{name!r}]", value, size)
        shape = arrays[name].shape
        columns[name] = _columns(name, feature_names, shape)
        labels[name] = Labels(name, rows, columns[name], shape[1:])
        observed[name] = _observed(name, value, entries.get(name), arrays[name])
    present = _present(present, observed, size)
    for i, name in enumerate(names):
        _check_present(labels[name], present[:, i], observed[name])
        observed[name] &= present[:, i].reshape((-1,) + (1,) * (arrays[name].ndim - 1))
        _check_finite(labels[name], arrays[name], observed[name])
    if not allow_empty_rows:
        _check_empty(present, rows)
    known = _covariates(covariates, names, rows, size)
    if dtypes is None:
        picked = {n: (arrays[n], observed[n]) for n in names}
        dtypes = _dtypes(picked, covariates, labels, rows)
    held = {
        n: cast(f"values[{n!r}]", labels[n], arrays[n], observed[n], dtypes[n])
        for n in names
    }
    # Only now, when nothing can be refused any more. `jnp.asarray` would compile.
    return {
        "values": _on_device(held),
        "present": jax.device_put(present),
        "entries": _on_device(_partial(observed, present, entries)),
        "covariates": _on_device(known),
        "names": names,
        "event_shapes": tuple(arrays[n].shape[1:] for n in names),
        "row_names": rows,
        "feature_names": tuple(columns[n] for n in names),
    }


def _on_device(arrays: dict) -> dict:
    return {name: precision.on_device(array) for name, array in arrays.items()}


def _dtypes(picked: dict, covariates: Mapping, labels: dict, rows) -> dict:
    """What each modality is held in; says what float32 rounds, once."""
    given = {n: np.ma.getdata(x) for n, x in covariates.items()}
    arrays = picked | {n: (x, np.ones(x.shape, bool)) for n, x in given.items()}
    size = len(next(iter(arrays.values()))[0])
    watched = roundings(size, {n: x.shape[1:] for n, (x, _) in arrays.items()})
    for start, stop in pieces(size, [x.shape[1:] for x, _ in arrays.values()]):
        for name, (x, o) in arrays.items():
            watched[name].add(start, x[start:stop], o[start:stop])
    return dtypes_of(watched, {n: x.dtype for n, (x, _) in picked.items()}, labels)


def roundings(
    size: int, event_shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, precision.Rounding]:
    """One for each array `[size, *event]`; all look for merged values in the same rows."""
    widths = {n: math.prod(shape) for n, shape in event_shapes.items()}
    some = precision.sample_rows(size, widths)
    return {n: precision.Rounding(some, shape) for n, shape in event_shapes.items()}


def dtypes_of(
    watched: Mapping[str, precision.Rounding],
    dtypes: Mapping[str, np.dtype],
    labels: Mapping,
) -> dict:
    """What each modality is held in; what `dtypes` does not name is a covariate.

    Says what float32 rounds, once.
    """
    found = {n: rounding.found() for n, rounding in watched.items()}
    kinds = {n: "modality" if n in dtypes else "covariate" for n in found}
    called = {n: f"{kinds[n]} {n!r}" for n in found}
    of = {called[n]: labels.get(n, Labels(n, ())) for n in found}
    precision.warn({called[n]: r for n, r in found.items()}, of)
    return {n: precision.held(dtype, found[n]) for n, dtype in dtypes.items()}


def _named(values) -> dict:
    if not isinstance(values, Mapping | Sequence) or isinstance(values, str):
        raise ValueError(
            "values: expected a mapping from modality to array or DataFrame, got "
            f"{type(values).__name__}"
        )
    pairs = list(values.items() if isinstance(values, Mapping) else values)
    if not all(isinstance(pair, tuple | list) and len(pair) == 2 for pair in pairs):
        raise ValueError(
            "values: expected a mapping from modality to array, or pairs of both, got "
            "a sequence of something else"
        )
    if not pairs:
        raise ValueError("values: expected at least one modality, got none")
    names = [name for name, _ in pairs]
    for name in names:
        if not isinstance(name, str) or not name:
            raise ValueError(f"values: expected names of modalities, got {name!r}")
        if name in RESERVED:
            raise ValueError(
                f"values: {name!r} is reserved for a site of the model or guide; expected "
                "another name for this modality"
            )
        if names.count(name) > 1:
            raise ValueError(
                f"values: modality {name!r} was given twice, expected once"
            )
    check_visible("values", "names of modalities", names)
    return {str(name): value for name, value in pairs}


def _known(argument: str, given: Mapping, names: tuple[str, ...]) -> None:
    for name in given:
        if name not in names:
            raise ValueError(
                f"{argument}: expected names among {', '.join(names)}, got {name!r}"
            )


def _num_rows(values: dict) -> int:
    name, value = next(iter(values.items()))
    shape = _array(f"values[{name!r}]", value).shape
    if not shape or shape[0] == 0:
        raise ValueError(
            f"values[{name!r}]: expected an array with rows, got shape {shape}"
        )
    return shape[0]


def unique_names(argument: str, given, length: int) -> tuple[str, ...]:
    """Names as a tuple; refuses a wrong number of them and duplicates."""
    if given is None:
        return ()
    given = texts_of(argument, given)
    if len(given) != length:
        raise ValueError(f"{argument}: expected {length} names, got {len(given)}")
    seen = set()
    for name in given:
        if not visible(name):
            raise ValueError(f"{argument}: expected names, got {name!a}, an empty one")
        if name in seen:
            raise ValueError(f"{argument}: expected unique names, got {name!r} twice")
        seen.add(name)
    check_visible(argument, "names", given)
    return given


def _columns(name: str, feature_names: Mapping, shape: tuple) -> tuple[str, ...]:
    given = feature_names.get(name)
    width = int(np.prod(shape[1:]))
    return unique_names(f"feature_names[{name!r}]", given, width)


def _array(argument: str, value) -> np.ndarray:
    try:
        return np.ma.getdata(value, subok=False)
    except ValueError as error:
        raise ValueError(
            f"{argument}: expected a rectangular array ({error})"
        ) from error


def _numbers(argument: str, value, size: int) -> np.ndarray:
    array = _array(argument, value)
    if array.dtype.kind not in "fiub":
        raise ValueError(
            f"{argument}: expected floats, integers or booleans, got dtype {array.dtype}"
        )
    if array.ndim == 0 or len(array) != size:
        raise ValueError(
            f"{argument}: expected {size} rows as in the first modality, got shape "
            f"{array.shape}"
        )
    if array.size == 0:
        raise ValueError(
            f"{argument}: expected at least one column, got shape {array.shape}"
        )
    return array


def _observed(name: str, value, entries, array: np.ndarray) -> np.ndarray:
    observed = (
        ~np.isnan(array) if array.dtype.kind == "f" else np.ones(array.shape, bool)
    )
    if np.ma.isMaskedArray(value):
        observed &= ~np.ma.getmaskarray(value)
    if entries is not None:
        observed &= _booleans(f"entries[{name!r}]", entries, array.shape)
    return observed


def _booleans(argument: str, given, shape: tuple) -> np.ndarray:
    array = np.asarray(given)
    if array.shape != shape:
        raise ValueError(f"{argument}: expected shape {shape}, got {array.shape}")
    if array.dtype != bool:
        raise ValueError(f"{argument}: expected booleans, got dtype {array.dtype}")
    return array


def _present(given, observed: dict, size: int) -> np.ndarray:
    names = tuple(observed)
    any_entry = {n: o.reshape(size, -1).any(-1) for n, o in observed.items()}
    if given is None:
        return np.stack(list(any_entry.values()), -1)
    if isinstance(given, Mapping):
        _known("present", given, names)
        columns = {
            n: _booleans(f"present[{n!r}]", c, (size,)) for n, c in given.items()
        }
        return np.stack([columns.get(n, any_entry[n]) for n in names], -1)
    return _booleans("present", given, (size, len(names))).copy()


def _check_present(labels: Labels, present: np.ndarray, observed: np.ndarray) -> None:
    empty = present & ~observed.reshape(len(present), -1).any(-1)
    if empty.any():
        row = labels.row(int(empty.argmax()))
        raise ValueError(
            f"present: modality {labels.modality!r}, {row}: expected at least one "
            "measured entry where `present` is True, got none"
        )


def _check_finite(labels: Labels, array: np.ndarray, observed: np.ndarray) -> None:
    if array.dtype.kind != "f":
        return
    bad = observed & np.isinf(array)
    if bad.any():
        where = np.argwhere(bad)[0]
        raise ValueError(
            f"values[{labels.modality!r}]: {labels.place(where)}: expected a finite "
            f"number, or NaN where it is missing, got {array[tuple(where)]}"
        )


def _check_empty(present: np.ndarray, rows: tuple[str, ...]) -> None:
    empty = ~present.any(-1)
    if empty.any():
        row = Labels("", rows).row(int(empty.argmax()))
        raise ValueError(
            f"values: {row} ({int(empty.sum())} in all): expected at least one present "
            "modality, got none; drop such rows or pass allow_empty_rows=True"
        )


def _partial(observed: dict, present: np.ndarray, given: Mapping) -> dict:
    """Masks of the modalities that miss single entries in rows that have them.

    Those that were given are kept, also where nothing is missing: encoders see them.
    """
    missing = {
        name: (~o.reshape(len(o), -1)).any(-1) & present[:, i]
        for i, (name, o) in enumerate(observed.items())
    }
    return {n: o for n, o in observed.items() if n in given or missing[n].any()}


def cast(
    argument: str, labels: Labels, array: np.ndarray, observed: np.ndarray, held=None
):
    """Filled with zeros, as programs take it, or `held` in float64 until it is scaled."""
    filled = np.where(observed, array, np.zeros((), array.dtype))
    kind = float if array.dtype.kind == "f" else int
    dtype = jnp.result_type(kind)
    with np.errstate(over="ignore", under="ignore"):
        cast = filled.astype(dtype)
    lost = ~np.isfinite(cast) if kind is float else cast != filled
    if np.any(lost):
        where = np.argwhere(lost)[0]
        raise ValueError(
            f"{argument}: {labels.place(where)}: expected a number that fits {dtype}, got "
            f"{filled[tuple(where)]}; rescale, or enable jax_enable_x64"
        )
    return cast if held is None or held == dtype else filled.astype(held)


def _covariates(
    covariates: Mapping, names: tuple[str, ...], rows: tuple[str, ...], size: int
) -> dict:
    read = {}
    for name, value in covariates.items():
        if name in names:
            raise ValueError(
                f"covariates: {name!r} is the name of a modality, expected another"
            )
        if name in RESERVED_COVARIATES:
            raise ValueError(
                f"covariates: {name!r} is reserved for a mask in the DataTree; expected "
                "another name"
            )
        argument, labels = f"covariates[{name!r}]", Labels(name, rows)
        array = _numbers(argument, value, size)
        unknown = np.ma.getmaskarray(value) | ~np.isfinite(array)
        if unknown.any():
            where = np.argwhere(unknown)[0]
            got = np.ma.asanyarray(value)[tuple(where)]
            raise ValueError(
                f"{argument}: {labels.place(where)}: expected a finite number (covariates "
                f"are always known), got {'a masked one' if got is np.ma.masked else got}"
            )
        read[name] = cast(argument, labels, array, np.ones(array.shape, bool))
    return read
