"""Networks from one modality to its features h_s.

An encoder is constructed as `encoder(event_shape, num_features, rngs=rngs)` and maps
`[N, *event_shape]` to `[N, F]`. A modality with missing entries reaches it with its entry
mask as one more axis of two at the end: zero-filled value, mask. Set hyper-parameters with
`functools.partial`.
"""

import functools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from consilience.guides.convolutional_encoders import ConvEncoder, TextEncoder
from consilience.guides.embedding_encoder import (
    EmbeddingEncoder,
    as_indices,
    is_masked,
)
from consilience.nn.mlp import MLP
from consilience.nn.products import product
from consilience.nn.sizes import check_positive


class MLPEncoder(nnx.Module):
    """A multi-layer perceptron on the flattened measurement.

    Masks of missing entries are further inputs. A missing index is one-hot nothing, which
    tells as much; so is an index that is no class.

    Args:
        event_shape: shape of one measurement.
        num_features: F.
        hidden: widths of the hidden layers.
        num_classes: for measurements that are indices 0..num_classes − 1, which are
            turned one-hot first; None for numbers.
        masked: for indices: whether the last axis of two holds index and mask, as it does
            where entries are missing. Needed if there is an axis of two: it might also be
            two indices.
        log1p: for counts: the network sees log(1 + x), while the likelihood keeps x.
            Negative numbers, which are no counts, become −log(1 − x).
        layer_norm: each hidden layer is normalised over its units, without parameters of
            its own (Ba et al. 2016). Thousands of inputs, genes for instance, train at
            usual learning rates then.
        rngs: random streams of the parameters.

    Raises:
        TypeError: called with `num_classes` and other numbers than integers.
        ValueError: both `num_classes` and `log1p` are asked for; `masked` is given for
            numbers, or not given for indices with a last axis of two.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        hidden: Sequence[int] = (128, 128),
        num_classes: int | None = None,
        masked: bool | None = None,
        log1p: bool = False,
        layer_norm: bool = False,
        rngs: nnx.Rngs,
    ):
        if log1p and num_classes is not None:
            raise ValueError(
                f"log1p: expected False for indices (num_classes={num_classes}), got True"
            )
        if num_classes is None and masked is not None:
            raise ValueError(
                "masked: expected None without num_classes, as masks of numbers are "
                f"inputs like others, got {masked}"
            )
        width = math.prod(event_shape)
        self.masked = num_classes is not None and is_masked(event_shape, masked)
        if num_classes is not None:
            check_positive(num_classes=num_classes)
            width = width * num_classes // (2 if self.masked else 1)
        activation = _normalized_relu if layer_norm else nnx.relu
        settings = {"activation": activation, "dot_general": product, "rngs": rngs}
        self.net = MLP(width, hidden, num_features, **settings)
        self.num_classes, self.log1p = num_classes, log1p

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        x = self._numbers(x)
        if self.log1p:
            x = jnp.sign(x) * jnp.log1p(jnp.abs(x))
        return self.net(x.reshape(x.shape[0], -1))

    def _numbers(self, x: Array) -> Float[Array, "rows ..."]:
        dtype = jnp.result_type(float)
        if self.num_classes is None:
            return x.astype(dtype)
        x = as_indices(x, self.num_classes)
        if not self.masked:
            return jax.nn.one_hot(x, self.num_classes, dtype=dtype)
        one_hot = jax.nn.one_hot(x[..., 0], self.num_classes, dtype=dtype)
        return one_hot * x[..., 1:].astype(dtype)


def _normalized_relu(x: Float[Array, "*batch units"]) -> Float[Array, "*batch units"]:
    return nnx.relu(jax.nn.standardize(x))


class PassThroughEncoder(nnx.Module):
    """The measurement as its own features; it has no parameters.

    For features that another network has made already. Nothing is changed silently: the
    width must be that of the other modalities' features, and no entry may be missing.

    Args:
        event_shape: `(F,)`.
        num_features: F.
        rngs: not used.

    Raises:
        ValueError: the shape is another.
    """

    def __init__(
        self, event_shape: tuple[int, ...], num_features: int, *, rngs: nnx.Rngs
    ):
        if event_shape == (num_features,):
            return
        advice = (
            f"set num_features={math.prod(event_shape)}, or map them with "
            "functools.partial(MLPEncoder, hidden=())"
        )
        if event_shape == (num_features, 2):
            advice = "with single entries missing, as here, use MLPEncoder"
        raise ValueError(
            f"event_shape: expected ready features of shape ({num_features},), got "
            f"{event_shape}; {advice}"
        )

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        return x.astype(jnp.result_type(float))


WIDE = 1000  # numbers of a measurement from which on layers are normalised


def usual_settings(*, counts: bool, event_shape: tuple[int, ...]) -> dict[str, bool]:
    """What an `MLPEncoder` of numbers is told by default, on the command line as well.

    The logarithm of counts, and normalised layers for wide measurements.
    """
    settings = {"log1p": counts, "layer_norm": math.prod(event_shape) >= WIDE}
    return {name: True for name, asked in settings.items() if asked}


def usual_encoder(dtype: object, event_shape: tuple[int, ...]) -> Callable:
    """The constructor for measurements of a dtype and shape: integers count as counts.

    Counts that are floats are not told from other numbers, nor indices from counts: for
    the first give `functools.partial(MLPEncoder, log1p=True)`, for the second
    `num_classes`.
    """
    counts = jnp.issubdtype(dtype, jnp.integer)
    return _usual(**usual_settings(counts=counts, event_shape=tuple(event_shape)))


@functools.cache  # one object for each choice, so that networks are built once
def _usual(**settings: bool) -> Callable:
    return functools.partial(MLPEncoder, **settings) if settings else MLPEncoder


ENCODERS = {
    "mlp": MLPEncoder,
    "conv": ConvEncoder,
    "text": TextEncoder,
    "embedding": EmbeddingEncoder,
    "pass_through": PassThroughEncoder,
}
