"""Frozen dataclasses that are JAX pytrees."""

import dataclasses
from collections.abc import Callable

import jax


def pytree_dataclass(*, static: tuple[str, ...] = ()) -> Callable[[type], type]:
    """Register a frozen dataclass as a pytree whose `static` fields are metadata.

    Rebuilding goes round `__init__`: JAX puts placeholders where arrays were, and
    neither validation nor a run-time type checker may see those.
    """

    def register(cls: type) -> type:
        names = [f.name for f in dataclasses.fields(cls)]
        arrays = [name for name in names if name not in static]

        def flatten(tree):
            children = [(jax.tree_util.GetAttrKey(n), getattr(tree, n)) for n in arrays]
            return children, tuple(getattr(tree, n) for n in static)

        def unflatten(metadata, children):
            tree = object.__new__(cls)
            pairs = [*zip(static, metadata, strict=True)]
            pairs += zip(arrays, children, strict=True)
            for name, value in pairs:
                object.__setattr__(tree, name, value)
            return tree

        jax.tree_util.register_pytree_with_keys(cls, flatten, unflatten)
        return cls

    return register
