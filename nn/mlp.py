"""Multi-layer perceptrons that encoders, decoders and aggregations are made of."""

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


class ResidualMLP(nnx.Module):
    """Residual blocks with pre-activation (He et al. 2016) between two dense layers.

        x ← x + W₂ a(W₁ a(x))    for each entry of `hidden`, all of one width

    Raises:
        ValueError: `hidden` is empty or of several widths.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        out_features: int,
        *,
        activation: Callable[[Array], Array] = nnx.relu,
        rngs: nnx.Rngs,
    ):
        if len(set(hidden)) != 1:
            raise ValueError(
                f"hidden: expected blocks of one width, such as (128, 128), got {hidden}"
            )
        width = hidden[0]
        self.first = nnx.Linear(in_features, width, rngs=rngs)
        self.blocks = nnx.List(
            [nnx.Linear(width, width, rngs=rngs) for _ in 2 * list(hidden)]
        )
        self.last = nnx.Linear(width, out_features, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        x = self.first(x)
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            x = x + second(self.activation(first(self.activation(x))))
        return self.last(self.activation(x))
