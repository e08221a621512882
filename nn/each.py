"""A network of its own for each modality, stacked where many have one shape."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array

from consilience.nn.lazy import module, values_of, with_values

STACK_FROM = 8


class Call(NamedTuple):
    """A network and what it is applied to.

    Attributes:
        name: of the modality.
        make: constructor of the network.
        sizes: what it is constructed with.
        x: its input.
    """

    name: str
    make: Callable
    sizes: tuple
    x: Array


def apply_each(kind: str, calls: Sequence[Call]) -> list[Array]:
    """Each network's output, in order.

    Parameters are one site a modality, `f"{kind}.{name}$params"`, whatever its company.
    Where 8 or more modalities share constructor and shapes, their networks are computed
    together, with parameters stacked along a first axis: a program of 64 modalities then
    compiles almost as fast as one of a few.
    """
    outputs: dict[str, Array] = {}
    for group in _of_one_shape(calls):
        if len(group) < STACK_FROM:
            for name, make, sizes, x in group:
                outputs[name] = module(f"{kind}.{name}", make, *sizes)(x)
        else:
            outputs |= _together(kind, group)
    return [outputs[call.name] for call in calls]


def _of_one_shape(calls: Sequence[Call]) -> list[list[Call]]:
    groups: dict[tuple, list[Call]] = {}
    for call in calls:
        key = (call.make, call.sizes, call.x.shape, call.x.dtype)
        groups.setdefault(key, []).append(call)
    return list(groups.values())


def _together(kind: str, group: list[Call]) -> dict[str, Array]:
    make, sizes = group[0].make, group[0].sizes
    sites = [values_of(f"{kind}.{call.name}", make, *sizes) for call in group]
    values = jax.tree.map(lambda *leaves: jnp.stack(leaves), *sites)

    def apply(values, x):
        return with_values(kind, make, sizes, values)(x)

    if all(call.x is group[0].x for call in group):
        stacked = jax.vmap(apply, (0, None))(values, group[0].x)
    else:
        stacked = jax.vmap(apply)(values, jnp.stack([call.x for call in group]))
    return {call.name: out for call, out in zip(group, stacked, strict=True)}
