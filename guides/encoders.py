"""Networks from one modality to its features h_s.

An encoder is constructed as `encoder(event_shape, num_features, rngs=rngs)` and maps
`[N, *event_shape]` to `[N, F]`. A modality with missing entries reaches it with its entry
mask as one more axis of two at the end: zero-filled value, mask.
"""

import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Shaped

from consilience.nn.mlp import MLP


class MLPEncoder(nnx.Module):
    """A multi-layer perceptron on the flattened measurement.

    Args:
        event_shape: shape of one measurement.
        num_features: F.
        hidden: widths of the hidden layers.
        num_classes: for measurements that are indices 0..num_classes − 1, which are
            turned one-hot first; None for numbers.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        hidden: Sequence[int] = (128, 128),
        num_classes: int | None = None,
        rngs: nnx.Rngs,
    ):
        width = math.prod(event_shape) * (num_classes or 1)
        self.net = MLP(width, hidden, num_features, rngs=rngs)
        self.num_classes, self.event_dim = num_classes, len(event_shape)

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        if self.num_classes is not None:
            x = jax.nn.one_hot(x, self.num_classes)
        x = x.astype(jnp.result_type(float))
        return self.net(x.reshape(x.shape[0], -1))


ENCODERS = {"mlp": MLPEncoder}
