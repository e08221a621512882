"""Multi-layer perceptrons that encoders, decoders and aggregations are made of."""

from collections.abc import Callable, Sequence
from itertools import pairwise

from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from consilience.nn.sizes import check_positive

SMALL = 0.1  # of the networks beside affine maps, at the start


def dense(
    in_features: int,
    out_features: int,
    scale: float = 1.0,
    *,
    dot_general: Callable = lax.dot_general,
    rngs: nnx.Rngs,
) -> nnx.Linear:
    """An affine map whose initial weights are `scale` times as large as is usual."""
    init = nnx.initializers.variance_scaling(scale**2, "fan_in", "truncated_normal")
    settings = {"kernel_init": init, "dot_general": dot_general, "rngs": rngs}
    return nnx.Linear(in_features, out_features, **settings)


def check_widths(out_features: int, hidden: Sequence[int]) -> None:
    """Refuse layers without units: they would ignore what comes in."""
    check_positive(out_features=out_features)
    for index, width in enumerate(hidden):
        check_positive(**{f"hidden[{index}]": width})


class MLP(nnx.Module):
    """Dense layers with an activation between them and none at the end.

    Args:
        in_features: of what comes in.
        hidden: widths of the hidden layers.
        out_features: of what goes out.
        activation: between layers.
        final_scale: factor of the last layer's initial weights; small ones let a
            posterior start close to a standard one.
        dot_general: the product of its layers, as `nnx.Linear` takes it.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        out_features: int,
        *,
        activation: Callable[[Array], Array] = nnx.relu,
        final_scale: float = 1.0,
        dot_general: Callable = lax.dot_general,
        rngs: nnx.Rngs,
    ):
        check_widths(out_features, hidden)
        sizes = list(pairwise([in_features, *hidden, out_features]))
        scales = [1.0] * len(hidden) + [final_scale]
        given = {"dot_general": dot_general, "rngs": rngs}
        self.layers = nnx.List(
            [dense(*s, x, **given) for s, x in zip(sizes, scales, strict=True)]
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)


class ResidualMLP(nnx.Module):
    """Residual blocks with pre-activation (He et al. 2016) between two dense layers.

        x ← x + W₂ a(W₁ a(x))    for each entry of `hidden`, all of one width

    Arguments: see `MLP`.

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
        final_scale: float = 1.0,
        rngs: nnx.Rngs,
    ):
        check_widths(out_features, hidden)
        if len(set(hidden)) != 1:
            raise ValueError(
                f"hidden: expected blocks of one width, such as (128, 128), got {hidden}"
            )
        width = hidden[0]
        self.first = nnx.Linear(in_features, width, rngs=rngs)
        self.blocks = nnx.List(
            [nnx.Linear(width, width, rngs=rngs) for _ in 2 * list(hidden)]
        )
        self.last = dense(width, out_features, final_scale, rngs=rngs)
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        x = self.first(x)
        for first, second in zip(self.blocks[::2], self.blocks[1::2], strict=True):
            x = x + second(self.activation(first(self.activation(x))))
        return self.last(self.activation(x))


class SkipMLP(nnx.Module):
    """An affine map with a network beside it, which starts small: x W + b + MLP(x).

    What an affine map of sums can do, such as adding up evidence, needs not be learned by
    the network. Arguments: see `MLP`.

    Raises:
        ValueError: a width is not positive.
    """

    def __init__(
        self,
        in_features: int,
        hidden: Sequence[int],
        out_features: int,
        *,
        activation: Callable[[Array], Array] = nnx.relu,
        final_scale: float = 1.0,
        rngs: nnx.Rngs,
    ):
        small = SMALL * final_scale
        sizes = (in_features, hidden, out_features)
        self.linear = dense(in_features, out_features, final_scale, rngs=rngs)
        self.mlp = MLP(*sizes, activation=activation, final_scale=small, rngs=rngs)

    def __call__(self, x: Float[Array, "*batch in"]) -> Float[Array, "*batch out"]:
        return self.linear(x) + self.mlp(x)
