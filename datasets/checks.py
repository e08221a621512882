"""Refuses operations on whole data sets that would be wrong."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp
import numpy as np

from consilience.datasets.validation import unique_names


def check_standardize(data, names, like) -> None:
    """Refuse a standardisation that would be wrong."""
    if data.standardization is not None:
        raise ValueError(
            "standardize: expected unscaled data, but they are scaled already"
        )
    if like is not None and names is not None:
        raise ValueError("standardize: expected `names` or `like`, got both")
    if like is not None and like.standardization is None:
        raise ValueError("like: expected standardised data, got unscaled ones")
    chosen = like.standardization.loc if like is not None else names or ()
    for name in chosen:
        data.index(name)
        dtype = data.values[name].dtype
        if not jnp.issubdtype(dtype, jnp.floating):
            raise ValueError(
                f"standardize: modality {name!r}: expected floats, got {dtype}"
            )
        ours = data.event_shapes[data.index(name)]
        theirs = like.standardization.loc[name].shape if like is not None else ours
        if ours != theirs:
            raise ValueError(
                f"like: modality {name!r}: expected measurements of shape {ours}, got "
                f"{theirs}"
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


def _kinds(arrays: Mapping) -> str:
    kinds = [
        f"{n} {arrays[n].dtype}{list(arrays[n].shape[1:])}" for n in sorted(arrays)
    ]
    return ", ".join(kinds) or "none"


def _same_scaling(a, b) -> bool:
    if a is None or b is None:
        return a is b
    pairs = [(a.loc, b.loc), (a.scale, b.scale)]
    return all(
        x.keys() == y.keys() and all(np.array_equal(x[n], y[n]) for n in x)
        for x, y in pairs
    )


def joint_row_names(parts: Sequence) -> tuple[str, ...]:
    """Row names of a concatenation: those of all parts, or none."""
    if not all(part.row_names for part in parts):
        return ()
    size = sum(part.size for part in parts)
    joint = [name for part in parts for name in part.row_names]
    return unique_names("row_names", joint, size)
