"""From pytrees to arrays that a file can hold, and back."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
from jaxtyping import PyTree

Stored = np.ndarray | jax.Array


def encode(name: str, array: Stored) -> tuple[np.ndarray, dict]:
    """An array of plain numbers or text, and what is needed to have the first back.

    Raises:
        TypeError: an array of objects or records, by name.
    """
    if _is_key(array):
        impl = str(jax.random.key_impl(array))
        return np.asarray(jax.random.key_data(array)), {"prng_key": impl}
    array = np.asarray(array)
    if array.dtype.kind in "biufcSU":
        return array, {}
    if array.dtype.names is None and hasattr(ml_dtypes, array.dtype.name):
        return array.view(f"u{array.itemsize}"), {"dtype": array.dtype.name}
    raise TypeError(f"arrays[{name!r}]: expected numbers or text, got {array.dtype}")


def decode(raw: np.ndarray, encoding: Mapping[str, str]) -> Stored:
    """The inverse of `encode`."""
    if "prng_key" in encoding:
        return jax.random.wrap_key_data(raw, impl=encoding["prng_key"])
    if "dtype" in encoding:
        return raw.view(getattr(ml_dtypes, encoding["dtype"]))
    return raw


def flatten(tree: PyTree) -> dict[str, Stored]:
    """Leaves by their path, such as `.optim_state[0]` or `['prior.loc']`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    return {n: leaf if _is_key(leaf) else np.asarray(leaf) for n, leaf in named.items()}


def unflatten(like: PyTree, arrays: Mapping[str, Stored]) -> PyTree:
    """A tree of the structure of `like`, whose leaves may be `jax.ShapeDtypeStruct`.

    Leaves come back as arrays of JAX; where `like` has NumPy's or a number, as those.

    Raises:
        ValueError: arrays are missing, too many, or of another shape or dtype, by name.
    """
    leaves, structure = jax.tree_util.tree_flatten_with_path(like)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    wrong = [f"{name} is missing" for name in named if name not in arrays]
    wrong += [f"{name} is superfluous" for name in arrays if name not in named]
    for name in named.keys() & arrays.keys():
        ours, theirs = _kind(named[name]), _kind(arrays[name])
        if ours != theirs:
            wrong.append(f"{name}: expected {ours}, got {theirs}")
    if wrong:
        raise ValueError(f"arrays: {'; '.join(wrong[:5])}{_more(len(wrong) - 5)}")
    restored = [_restored(leaf, arrays[name]) for name, leaf in named.items()]
    return jax.tree.unflatten(structure, restored)


def _is_key(leaf: object) -> bool:
    dtype = getattr(leaf, "dtype", None)
    return dtype is not None and jnp.issubdtype(dtype, jax.dtypes.prng_key)


def _kind(leaf: object) -> str:
    if not hasattr(leaf, "dtype"):
        leaf = np.asarray(leaf)
    return f"{leaf.dtype}{list(leaf.shape)}"


def _restored(like: object, array: Stored) -> object:
    if isinstance(like, np.ndarray):
        return array
    if not hasattr(like, "dtype"):
        return array.item()
    return jnp.asarray(array)


def _more(count: int) -> str:
    return f"; and {count} more" if count > 0 else ""
