"""Decoders of images and of text."""

import math
from collections.abc import Sequence
from itertools import pairwise

from flax import nnx
from jaxtyping import Array, Float

from consilience.nn.convolutions import Upsample, check_channels
from consilience.nn.mlp import MLP


class ConvDecoder(nnx.Module):
    """Transposed 2-D convolutions (Hirt et al. 2024, appendix L).

    Dense layers make a small image of ⌈H/2ⁿ⌉ × ⌈W/2ⁿ⌉ (a transposed convolution of a
    single point: 4 × 4 for 32 × 32); n transposed convolutions of kernel 4 and stride 2
    double it, and what sticks out on all sides is cut off. Rectifiers between layers.

    Args:
        latent_dim: D.
        event_shape: `(H, W)` or `(H, W, C)`, channels last, with one more axis for a
            likelihood that asks for several numbers an entry.
        channels: of the small image and of each doubled one but the last; n of them.
        hidden: widths of the dense layers before.
        rngs: random streams of the parameters.

    Raises:
        ValueError: `event_shape` is that of no image, or `channels` is wrong.
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: tuple[int, ...],
        *,
        channels: Sequence[int] = (64, 64, 32),
        hidden: Sequence[int] = (128,),
        rngs: nnx.Rngs,
    ):
        if not 2 <= len(event_shape) <= 4:
            raise ValueError(
                "event_shape: expected that of an image, (H, W) or (H, W, C), with one "
                "more axis where the likelihood asks for it, got "
                f"{event_shape}; reshape the values, or use MLPDecoder"
            )
        check_channels(channels)
        widths = [*channels, math.prod(event_shape[2:])]
        self.start = (*_halved(event_shape[:2], len(channels)), channels[0])
        self.dense = MLP(latent_dim, hidden, math.prod(self.start), rngs=rngs)
        self.layers = nnx.List(
            [Upsample(2, i, o, rngs=rngs) for i, o in pairwise(widths)]
        )
        self.event_shape = event_shape

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows ..."]:
        x = self.dense(z).reshape(*z.shape[:-1], *self.start)
        for layer in self.layers:
            x = layer(nnx.relu(x))
        pairs = zip(x.shape[-3:-1], self.event_shape[:2], strict=True)
        cut = [_middle(length, kept) for length, kept in pairs]
        return x[(..., *cut, slice(None))].reshape(*z.shape[:-1], *self.event_shape)


class TextDecoder(nnx.Module):
    """Transposed 1-D convolutions (Hirt et al. 2024, appendix L).

    Dense layers make a short sequence (4 for 8 characters); transposed convolutions of
    kernel 4 and stride 2 double it, and what sticks out at both ends is cut off; at the
    end each character is decoded alone (kernel 1). Rectifiers between layers.

    Args:
        latent_dim: D.
        event_shape: `(L, V)` of one-hot text, or of indices with V logits each.
        channels: of the short sequence and of each doubled one.
        hidden: widths of the dense layers before.
        rngs: random streams of the parameters.

    Raises:
        ValueError: `event_shape` has no axis, or `channels` is wrong.
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: tuple[int, ...],
        *,
        channels: Sequence[int] = (128, 128),
        hidden: Sequence[int] = (128,),
        rngs: nnx.Rngs,
    ):
        if not event_shape:
            raise ValueError(
                "event_shape: expected that of a text, (L, V), got (); use MLPDecoder"
            )
        check_channels(channels)
        self.start = (*_halved(event_shape[:1], len(channels) - 1), channels[0])
        self.dense = MLP(latent_dim, hidden, math.prod(self.start), rngs=rngs)
        self.layers = nnx.List(
            [Upsample(1, i, o, rngs=rngs) for i, o in pairwise(channels)]
        )
        self.last = nnx.Linear(channels[-1], math.prod(event_shape[1:]), rngs=rngs)
        self.event_shape = event_shape

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows ..."]:
        x = self.dense(z).reshape(*z.shape[:-1], *self.start)
        for layer in self.layers:
            x = layer(nnx.relu(x))
        x = x[..., _middle(x.shape[-2], self.event_shape[0]), :]
        return self.last(nnx.relu(x)).reshape(*z.shape[:-1], *self.event_shape)


def _halved(space: tuple[int, ...], times: int) -> tuple[int, ...]:
    return tuple(-(-length // 2**times) for length in space)


def _middle(length: int, kept: int) -> slice:
    start = (length - kept) // 2
    return slice(start, start + kept)
