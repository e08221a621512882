"""Encoders of images and of text."""

import math
from collections.abc import Sequence
from itertools import pairwise

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from consilience.guides.embedding_encoder import as_indices
from consilience.nn.convolutions import Downsample, check_channels, flat_size


class ConvEncoder(nnx.Module):
    """2-D convolutions on images, spectrograms and the like (Hirt et al. 2024, app. L).

    Each layer has kernel 4 and stride 2 and is followed by a rectifier; a dense layer
    makes the features. Sizes may be any: an axis of H leaves a layer as ⌈H/2⌉. Where
    single pixels are missing, the mask is one more channel for each channel.

    Args:
        event_shape: `(H, W)` or `(H, W, C)`, channels last; `(..., 2)` with a mask.
        num_features: F.
        channels: channels of the layers.
        rngs: random streams of the parameters.

    Raises:
        ValueError: `event_shape` is that of no image, or `channels` is wrong.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        channels: Sequence[int] = (32, 64, 64, 128),
        rngs: nnx.Rngs,
    ):
        _check_image(event_shape)
        check_channels(channels)
        widths = [math.prod(event_shape[2:]), *channels]
        self.layers = nnx.List(
            [Downsample(2, i, o, rngs=rngs) for i, o in pairwise(widths)]
        )
        size = flat_size(event_shape[:2], len(channels), widths[-1])
        self.dense = nnx.Linear(size, num_features, rngs=rngs)

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        x = x.astype(jnp.result_type(float)).reshape(*x.shape[:3], -1)
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.dense(x.reshape(x.shape[0], -1))


class TextEncoder(nnx.Module):
    """1-D convolutions on text and other sequences (Hirt et al. 2024, app. L).

    The first layer sees each character alone (kernel 1), the others have kernel 4 and
    stride 2; rectifiers between them, then a dense layer. Where characters are missing,
    one-hot text has its mask as further channels, and a missing index is one-hot nothing,
    as is one that is no class.

    Args:
        event_shape: `(L, V)` of one-hot text, or of L points with V channels; `(L,)` of
            indices if `num_classes` is given; `(..., 2)` with a mask.
        num_features: F.
        channels: channels of the layers, the one of kernel 1 first.
        num_classes: V, for indices 0..V − 1.
        rngs: random streams of the parameters.

    Raises:
        TypeError: called with `num_classes` and other numbers than integers.
        ValueError: `event_shape` is that of no text, or `channels` is wrong.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        channels: Sequence[int] = (128, 128, 128),
        num_classes: int | None = None,
        rngs: nnx.Rngs,
    ):
        _check_text(event_shape, num_classes)
        check_channels(channels)
        width = num_classes or math.prod(event_shape[1:])
        self.first = nnx.Linear(width, channels[0], rngs=rngs)
        self.layers = nnx.List(
            [Downsample(1, i, o, rngs=rngs) for i, o in pairwise(channels)]
        )
        size = flat_size(event_shape[:1], len(channels) - 1, channels[-1])
        self.dense = nnx.Linear(size, num_features, rngs=rngs)
        self.num_classes = num_classes

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        x = nnx.relu(self.first(self._channels(x)))
        for layer in self.layers:
            x = nnx.relu(layer(x))
        return self.dense(x.reshape(x.shape[0], -1))

    def _channels(self, x: Array) -> Float[Array, "rows length channels"]:
        dtype = jnp.result_type(float)
        if self.num_classes is None:
            return x.astype(dtype).reshape(*x.shape[:2], -1)
        x = as_indices(x, self.num_classes)
        if x.ndim == 2:
            return jax.nn.one_hot(x, self.num_classes, dtype=dtype)
        one_hot = jax.nn.one_hot(x[..., 0], self.num_classes, dtype=dtype)
        return one_hot * x[..., 1:].astype(dtype)


def _check_image(event_shape: tuple[int, ...]) -> None:
    if len(event_shape) in (2, 3) or (len(event_shape) == 4 and event_shape[-1] == 2):
        return
    raise ValueError(
        "event_shape: expected that of an image, (H, W) or (H, W, C), with an axis of two "
        f"at the end where pixels are missing, got {event_shape}; reshape the values, or "
        "use MLPEncoder"
    )


def _check_text(event_shape: tuple[int, ...], num_classes: int | None) -> None:
    dims = len(event_shape) + (num_classes is not None)
    if dims == 2 or (dims == 3 and event_shape[-1] == 2):
        return
    expected, other = "(L, V)", "num_classes=V for indices of shape (L,)"
    if num_classes is not None:
        expected, other = "(L,)", "no num_classes for one-hot text of shape (L, V)"
    raise ValueError(
        f"event_shape: expected {expected}, with an axis of two at the end where entries "
        f"are missing, got {event_shape}; pass {other}"
    )
