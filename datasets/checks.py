"""Refuses operations on whole data sets that would be wrong."""

from collections.abc import Mapping, Sequence, Set

import jax
import jax.numpy as jnp
import numpy as np

from consilience.datasets.validation import Labels, unique_names


def check_arguments(data, names, like, log) -> None:
    """Refuse arguments of `standardize` that contradict one another, and scaled data."""
    if data.standardization is not None:
        raise ValueError(
            "standardize: expected unscaled data, but they are scaled already"
        )
    _check_arguments(names, like, log)
    leaves = jax.tree.leaves(data)
    if like is None and any(isinstance(x, jax.core.Tracer) for x in leaves):
        raise ValueError(
            "standardize: expected rows as they are, since moments are summed in float64 "
            "on the host, got traced ones; call it before jit or vmap, or give like="
        )


def check_standardize(data, names, like, log) -> None:
    """Refuse a standardisation that would be wrong."""
    check_arguments(data, names, like, log)
    fitted = None if like is None else like.standardization
    chosen = fitted.loc if fitted else dict.fromkeys((*(names or ()), *log))
    log, argument = (fitted.log, "like") if fitted else (log, "log")
    for name in chosen:
        dtype = data.values[data.names[data.index(name)]].dtype
        if name not in log and not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"standardize: modality {name!r}: expected floats, got {dtype}; whole "
                "numbers are scaled with log=(...) only"
            )
        ours = data.event_shapes[data.index(name)]
        theirs = fitted.loc[name].shape if fitted else ours
        if ours != theirs:
            raise ValueError(
                f"like: modality {name!r}: expected measurements of shape {ours}, got "
                f"{theirs}"
            )
        if name in log:
            _check_above_minus_one(data, name, argument)


def _check_arguments(names, like, log) -> None:
    for argument, given in (("names", names), ("log", log)):
        listed = isinstance(given, Sequence | Set) or given is None
        if isinstance(given, str) or not listed:
            given = f"the text {given!r}" if isinstance(given, str) else repr(given)
            raise ValueError(f"{argument}: expected a list of modalities, got {given}")
        if len(set(given or ())) < len(given or ()):
            raise ValueError(f"{argument}: expected each name once, got {given!r}")
    if like is not None and (names is not None or log):
        other = "`log`" if names is None else "`names`"
        raise ValueError(f"standardize: expected {other} or `like`, got both")
    if like is not None and like.standardization is None:
        raise ValueError("like: expected standardised data, got unscaled ones")
    for name in log if names is not None else ():
        if name not in names:
            raise ValueError(
                f"log: expected modalities that are scaled, {', '.join(names)}, got "
                f"{name!r}"
            )


def _check_above_minus_one(data, name: str, argument: str) -> None:
    """Refuse values that have no log(1 + x)."""
    values = np.asarray(data.values[name])
    bad = observed_entries(data, name) & (values <= -1)
    if bad.any():
        i, where = data.index(name), np.argwhere(bad)[0]
        columns = data.feature_names[i] if data.feature_names else ()
        place = Labels(name, data.row_names, columns, values.shape[1:]).place(where)
        raise ValueError(
            f"{argument}: modality {name!r}: {place}: expected a value above −1 for "
            f"log(1 + x), got {values[tuple(where)]}"
        )


def observed_entries(data, name: str) -> np.ndarray:
    """`data.observed(name)` without a device: checks compile nothing."""
    i = data.index(name)
    shape = (data.size, *data.event_shapes[i])
    column = np.asarray(data.present)[:, i].reshape((-1,) + (1,) * (len(shape) - 1))
    return np.broadcast_to(column & np.asarray(data.entries.get(name, True)), shape)


def rows_at(size: int, index: object) -> np.ndarray:
    """Numbers of rows `[n]`, of whatever picks some in NumPy.

    Raises:
        IndexError: there are no such rows, or it picks no list of them.
    """
    rows = np.atleast_1d(np.arange(size)[index])
    if rows.ndim != 1:
        raise IndexError(
            "index: expected a number, a slice, a list of numbers or a mask of rows, got "
            f"{index!r}"
        )
    return rows


def check_keep(data, keep, allow_empty_rows: bool) -> None:
    """Refuse a mask of another shape, and one that leaves a row with nothing."""
    if keep.shape != data.present.shape:
        raise ValueError(
            f"keep: expected booleans of shape {data.present.shape}, got {keep.shape}"
        )
    if allow_empty_rows or isinstance(keep, jax.core.Tracer):
        return
    present, keep = np.asarray(data.present), np.asarray(keep)
    empty = present.any(-1) & ~(present & keep).any(-1)
    if empty.any():
        raise ValueError(
            f"keep: expected every row to keep a modality, but row {int(empty.argmax())} "
            f"({int(empty.sum())} in all) loses its last; pass allow_empty_rows=True if "
            "that is meant"
        )


def check_alike(parts: Sequence) -> None:
    """Refuse to concatenate data sets of different kinds."""
    if not parts:
        raise ValueError("parts: expected at least one data set, got none")
    first = parts[0]
    for part in parts[1:]:
        for field in ("names", "event_shapes", "feature_names"):
            ours, theirs = getattr(first, field), getattr(part, field)
            if ours != theirs:
                raise ValueError(f"parts: expected {field} {ours}, got {theirs}")
        for field in ("values", "covariates"):
            ours, theirs = _kinds(getattr(first, field)), _kinds(getattr(part, field))
            if ours != theirs:
                raise ValueError(f"parts: expected {field} {ours}, got {theirs}")
        if not _same_scaling(first.standardization, part.standardization):
            raise ValueError(
                "parts: expected one and the same standardisation, got two"
            )


def conformed(data, like, argument: str) -> dict:
    """Entry masks that make `data` fit what was built for `like`; refuses what cannot."""
    for field in ("names", "event_shapes"):
        ours, theirs = getattr(like, field), getattr(data, field)
        if ours != theirs:
            raise ValueError(f"{argument}: expected {field} {ours}, got {theirs}")
    for i, name in enumerate(like.names):
        ours, theirs = like.feature_names[i : i + 1], data.feature_names[i : i + 1]
        if any(ours) and any(theirs) and ours != theirs:
            raise ValueError(
                f"{argument}: modality {name!r}: expected the columns {_few(ours[0])}, got "
                f"{_few(theirs[0])}"
            )
    if not _same_scaling(like.standardization, data.standardization):
        raise ValueError(
            f"{argument}: expected the standardisation of the training rows, got "
            + ("none" if data.standardization is None else "another")
            + "; use data.standardize(like=train) on unscaled rows"
        )
    for name in data.entries:
        if name not in like.entries:
            raise ValueError(
                f"{argument}: modality {name!r} misses single entries, and its encoder "
                "was built for complete ones; expected training data made with an entry "
                "mask for it, from_arrays(..., entries={...}), which may be all True"
            )
    return {name: data.observed(name) for name in like.entries}


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", …" if len(names) > 5 else "")


def _kinds(arrays: Mapping) -> str:
    kinds = [
        f"{n} {jax.dtypes.canonicalize_dtype(arrays[n].dtype)}{list(arrays[n].shape[1:])}"
        for n in sorted(arrays)
    ]
    return ", ".join(kinds) or "none"


def _same_scaling(a, b) -> bool:
    if a is None or b is None:
        return a is b
    pairs = [(a.loc, b.loc), (a.scale, b.scale)]
    return set(a.log) == set(b.log) and all(
        x.keys() == y.keys() and all(_same_numbers(x[n], y[n]) for n in x)
        for x, y in pairs
    )


def _same_numbers(x, y) -> bool:
    """To the last bit of the coarser one: programs give float64 back as float32.

    Inside a `jax.jit` of the user's the numbers are not known; shapes are compared.
    """
    if isinstance(x, jax.core.Tracer) or isinstance(y, jax.core.Tracer):
        return x.shape == y.shape
    kind = min(x.dtype, y.dtype, key=lambda dtype: dtype.itemsize)
    return np.array_equal(np.asarray(x).astype(kind), np.asarray(y).astype(kind))


def joint_row_names(parts: Sequence) -> tuple[str, ...]:
    """Row names of a concatenation: those of all parts, or none."""
    if not all(part.row_names for part in parts):
        return ()
    size = sum(part.size for part in parts)
    joint = [name for part in parts for name in part.row_names]
    return unique_names("row_names", joint, size)
