"""Networks from a latent point to the parameters of one modality's likelihood.

A decoder is constructed as `decoder(latent_dim, event_shape, rngs=rngs)` and maps
`[N, D]` to `[N, *event_shape]`. Set hyper-parameters with `functools.partial`.
"""

import math
from collections.abc import Sequence

from flax import nnx
from jaxtyping import Array, Float

from consilience.models.convolutional_decoders import ConvDecoder, TextDecoder
from consilience.nn.mlp import MLP


class MLPDecoder(nnx.Module):
    """A multi-layer perceptron."""

    def __init__(
        self,
        latent_dim: int,
        event_shape: tuple[int, ...],
        *,
        hidden: Sequence[int] = (128,),
        rngs: nnx.Rngs,
    ):
        self.net = MLP(latent_dim, hidden, math.prod(event_shape), rngs=rngs)
        self.event_shape = event_shape

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows ..."]:
        return self.net(z).reshape(*z.shape[:-1], *self.event_shape)


class LinearDecoder(nnx.Module):
    """An affine map."""

    def __init__(
        self, latent_dim: int, event_shape: tuple[int, ...], *, rngs: nnx.Rngs
    ):
        self.linear = nnx.Linear(latent_dim, math.prod(event_shape), rngs=rngs)
        self.event_shape = event_shape

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows ..."]:
        return self.linear(z).reshape(*z.shape[:-1], *self.event_shape)


DECODERS = {
    "mlp": MLPDecoder,
    "linear": LinearDecoder,
    "conv": ConvDecoder,
    "text": TextDecoder,
}
