"""What makes a run the run it is: programs, settings and data a resumed one must share."""

import hashlib
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Key
from numpyro.infer import SVI

from consilience.nn.recipes import Writer
from consilience.training.order import Order
from consilience.training.provenance import of_bound
from consilience.training.rows import Rows, identity
from consilience.training.saving import public_names

Fingerprint = dict[str, str | int | float | dict[str, str]]


def fingerprint(
    rng_key: Key[Array, ""], svi: SVI, order: Order, data: Rows, validation
) -> Fingerprint:
    """By name. Of a user's own functions the names count, not what they do.

    Programs and data are taken apart, to say what of them differs. The optimiser is not in
    it: a run may go on with another learning rate.
    """
    programs = {"model": svi.model, "guide": svi.guide, "bound_settings": svi.loss}
    return of_bound(svi.loss) | {
        **{name: _settings(program) for name, program in programs.items()},
        "rng_key": str(jax.random.key_data(rng_key).tolist()),
        "rows": order.num_rows,
        "batch_size": order.batch_size,
        "modalities": ", ".join(data.names),
        "data": _digests(identity(data)),
        "validation": _digests(validation),
    }


def _digests(tree: object) -> dict[str, str]:
    """Of each array of a tree, by where it stands."""
    return {
        jax.tree_util.keystr(path).lstrip("."): digest(leaf)
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree)
    }


def _settings(program: object) -> dict[str, str]:
    """How a program was made, setting by setting."""
    writer = Writer(public_names())
    found = dict(_flat("", writer.describe(program)))
    arrays = {name: digest(array) for name, array in writer.arrays.items()}
    return {path: arrays.get(value, value) for path, value in found.items()}


def _flat(path: str, recipe: object) -> Iterator[tuple[str, str]]:
    """The leaves of a recipe, by names such as `likelihoods['a'].scale`."""
    if isinstance(recipe, dict) and "make" in recipe:
        yield path, recipe["make"]
        for name, part in recipe["with"].items():
            yield from _flat(f"{path}.{name}".lstrip("."), part)
    elif isinstance(recipe, dict) and "mapping" in recipe:
        for name, part in recipe["mapping"]:
            yield from _flat(f"{path}[{name!r}]", part)
    elif isinstance(recipe, dict) and "partial" in recipe:
        made, args, keywords = recipe["partial"]
        yield from _flat(path, made)
        yield from _flat(path, args)
        for name, part in keywords["mapping"]:
            yield from _flat(f"{path}.{name}".lstrip("."), part)
    elif isinstance(recipe, list):
        for i, part in enumerate(recipe):
            yield from _flat(f"{path}[{i}]", part)
    elif isinstance(recipe, dict):
        kept = {k: v for k, v in recipe.items() if k not in ("number", "kind")}
        [value] = kept.values()
        yield from _flat(path, value)
    else:
        yield path, str(recipe)


def course(beta: Callable | None) -> str:
    """β at some steps, to tell one schedule from another."""
    if beta is None:
        return "the bound's own"
    steps = jnp.array([0, 1, 2, 5, *(10**k for k in range(1, 7))])
    return str(np.asarray(jax.vmap(beta)(steps)).tolist())


def digest(tree: object) -> str:
    """SHA-256 of a tree's arrays."""
    found = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        array = np.ascontiguousarray(jax.device_get(leaf))
        found.update(f"{array.dtype}{array.shape}".encode())
        found.update(array)
    return found.hexdigest()
