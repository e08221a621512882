"""Convolutions that halve or double every axis: kernel 4, stride 2, padding 1.

A convolution of kernel 4 and stride 2 is one of kernel 2 and stride 1 over blocks of two,
and so is its transpose. Both are written as matrix products: XLA's own convolutions do not
use all cores of a CPU inside the loop over training steps, and take ten times as long.
They work on any number of spatial axes, channels last.
"""

import itertools
import math
from collections.abc import Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from consilience.nn.sizes import check_positive


class Downsample(nnx.Module):
    """Convolution of kernel 4 and stride 2: `[*batch, *space, C]` → half the space.

    An axis of H gives ⌈H/2⌉, so that an axis of one stays one.
    """

    def __init__(self, dims: int, channels: int, out: int, *, rngs: nnx.Rngs):
        self.linear = nnx.Linear(4**dims * channels, out, rngs=rngs)
        self.dims = dims

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        space = x.shape[-1 - self.dims : -1]
        x = _pad(x, [(1, 1 + length % 2) for length in space])
        return self.linear(neighbours(to_blocks(x, self.dims), self.dims))


class Upsample(nnx.Module):
    """Transposed convolution of kernel 4 and stride 2: twice the space.

    The four (in 2-D) places of a block have kernels of their own, but one bias.
    """

    def __init__(self, dims: int, channels: int, out: int, *, rngs: nnx.Rngs):
        widths = (2**dims * channels, 2**dims * out)
        self.linear = nnx.Linear(*widths, use_bias=False, rngs=rngs)
        self.bias = nnx.Param(jnp.zeros(out, self.linear.param_dtype))
        self.dims = dims

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        x = _pad(x, [(1, 1)] * self.dims)
        blocks = self.linear(neighbours(x, self.dims))
        inside = (..., *[slice(1, -1)] * self.dims, slice(None))
        return from_blocks(blocks, self.dims)[inside] + self.bias[...]


def neighbours(x: Float[Array, "..."], dims: int) -> Float[Array, "..."]:
    """Each entry beside the next ones along every axis; an axis loses one of its length."""
    parts = [
        x[(..., *[slice(i, i - 1 or None) for i in place], slice(None))]
        for place in itertools.product((0, 1), repeat=dims)
    ]
    return jnp.concatenate(parts, -1)


def to_blocks(x: Float[Array, "..."], dims: int) -> Float[Array, "..."]:
    """Move blocks of two entries an axis into the channels, `[*batch, *half, 2^d C]`."""
    batch, space = x.shape[: -1 - dims], x.shape[-1 - dims : -1]
    halves = [(length // 2, 2) for length in space]
    split = x.reshape(*batch, *itertools.chain(*halves), x.shape[-1])
    return _axes(split, len(batch), dims, inverse=False).reshape(
        *batch, *[half for half, _ in halves], -1
    )


def from_blocks(x: Float[Array, "..."], dims: int) -> Float[Array, "..."]:
    """The inverse of `to_blocks`."""
    batch, space = x.shape[: -1 - dims], x.shape[-1 - dims : -1]
    split = x.reshape(*batch, *space, *(2,) * dims, -1)
    return _axes(split, len(batch), dims, inverse=True).reshape(
        *batch, *[2 * length for length in space], -1
    )


def _axes(x: Array, batch: int, dims: int, inverse: bool) -> Array:
    """(h, 2, w, 2) → (h, w, 2, 2), or back."""
    places = [*range(0, 2 * dims, 2), *range(1, 2 * dims, 2)]
    if inverse:
        places = [places.index(i) for i in range(2 * dims)]
    return x.transpose(*range(batch), *[batch + i for i in places], x.ndim - 1)


def _pad(x: Array, space: list[tuple[int, int]]) -> Array:
    outer = [(0, 0)] * (x.ndim - 1 - len(space))
    return jnp.pad(x, [*outer, *space, (0, 0)])


def flat_size(space: tuple[int, ...], halvings: int, channels: int) -> int:
    """Numbers that are left after some halvings of every axis."""
    return math.prod(-(-length // 2**halvings) for length in space) * channels


def check_channels(channels: Sequence[int]) -> None:
    """Refuse no layers, and layers without channels.

    Raises:
        ValueError: naming the layer.
    """
    if len(channels) == 0:
        raise ValueError(
            f"channels: expected at least one positive number, got {channels!r}"
        )
    check_positive(**{f"channels[{i}]": c for i, c in enumerate(channels)})
