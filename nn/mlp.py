"""The multi-layer perceptron that encoders, decoders and aggregations are made of."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from flax import nnx
from jaxtyping import Array, Float


class MLP(nnx.Module):
    """Dense layers with an activation between them and none at the end."""

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        out_features: int,
        *,
        activation: Callable[[Array], Array] = nnx.relu,
        rngs: nnx.Rngs,
    ):
        widths = [in_features, *hidden, out_features]
        self.layers = nnx.List(
            [nnx.Linear(i, o, rngs=rngs) for i, o in pairwise(widths)]
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
