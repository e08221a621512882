"""Transformer blocks over the present elements of a set."""

from collections.abc import Callable, Sequence

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.nn.mlp import MLP
from consilience.nn.sizes import check_positive

Elements = Float[Array, "rows elements width"]
Present = Bool[Array, "rows elements"]


class LayerNorm(nnx.Module):
    """Layer normalisation of each element by itself (Ba et al. 2016)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, rngs=rngs)

    def __call__(self, g: Elements, present: Present) -> Elements:
        return self.norm(g)


class SetNorm(nnx.Module):
    """Normalisation over present elements and features together (Zhang et al. 2022)."""

    def __init__(self, width: int, *, rngs: nnx.Rngs):
        self.scale = nnx.Param(jnp.ones(width))
        self.bias = nnx.Param(jnp.zeros(width))

    def __call__(self, g: Elements, present: Present) -> Elements:
        count = jnp.maximum(present.sum(-1), 1)[:, None, None] * g.shape[-1]

        def mean(x):
            total = jnp.where(present[..., None], x, 0.0).sum((1, 2), keepdims=True)
            return total / count

        centred = g - mean(g)
        unit = centred / jnp.sqrt(mean(centred**2) + 1e-6)
        return unit * self.scale[...] + self.bias[...]


NORMS = {"layer": LayerNorm, "set": SetNorm}


class MaskedAttention(nnx.Module):
    """Multi-head attention of all elements to the present ones (Vaswani et al. 2017)."""

    def __init__(self, width: int, num_heads: int, *, rngs: nnx.Rngs):
        if width % num_heads:
            raise ValueError(
                f"num_heads: expected a divisor of the width {width}, got {num_heads}"
            )
        self.in_projection = nnx.Linear(width, 3 * width, rngs=rngs)
        self.out_projection = nnx.Linear(width, width, rngs=rngs)
        self.num_heads = num_heads

    def __call__(
        self, g: Elements, present: Present
    ) -> tuple[Elements, Float[Array, "rows heads elements elements"]]:
        """What is attended to, and the weights [n, head, query, key]."""
        heads = (*g.shape[:2], 3, self.num_heads, -1)
        query, key, value = jnp.moveaxis(self.in_projection(g).reshape(heads), 2, 0)
        score = jnp.einsum("nqhd,nkhd->nhqk", query, key) / query.shape[-1] ** 0.5
        weights = softmax_over(score, present[:, None, None, :])
        attended = jnp.einsum("nhqk,nkhd->nqhd", weights, value)
        return self.out_projection(attended.reshape(g.shape)), weights


def softmax_over(
    score: Float[Array, "*batch keys"], present: Bool[Array, "*#batch keys"]
) -> Float[Array, "*batch keys"]:
    """Softmax over present keys; others weigh exactly zero, all of them if none is."""
    score = jnp.where(present, score, jnp.finfo(score.dtype).min)
    odds = jnp.exp(score - score.max(-1, keepdims=True))
    odds = jnp.where(present, odds, 0.0)
    total = odds.sum(-1, keepdims=True)
    return odds / jnp.where(total > 0, total, 1.0)


class TransformerBlock(nnx.Module):
    """Attention, then a network on each element, with residual connections around both.

        pre-norm:   g' = g + MHA(N(g)),    out = g' + FFN(N(g'))
        post-norm:  g' = N(g + MHA(g)),    out = N(g' + FFN(g'))

    Args:
        width: of the elements.
        num_heads: of the attention, a divisor of the width.
        hidden: width of the hidden ReLU layer of FFN.
        norm: constructor of N, as in `NORMS`.
        pre_norm: which of the two.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        width: int,
        num_heads: int,
        hidden: int,
        norm: Callable = LayerNorm,
        pre_norm: bool = True,
        *,
        rngs: nnx.Rngs,
    ):
        self.attention = MaskedAttention(width, num_heads, rngs=rngs)
        self.network = MLP(width, (hidden,), width, rngs=rngs)
        self.norms = nnx.List([norm(width, rngs=rngs) for _ in range(2)])
        self.pre_norm = pre_norm

    def __call__(
        self, g: Elements, present: Present
    ) -> tuple[Elements, Float[Array, "rows heads elements elements"]]:
        """New elements, and the attention weights."""
        first, second = self.norms
        if self.pre_norm:
            attended, weights = self.attention(first(g, present), present)
            g = g + attended
            return g + self.network(second(g, present)), weights
        attended, weights = self.attention(g, present)
        g = first(g + attended, present)
        return second(g + self.network(g), present), weights


class TransformerBlocks(nnx.Module):
    """Blocks one after the other.

    Args:
        width: of the elements.
        hidden: the first is FFN's hidden width; `width` if there is none.
        num_layers: how many blocks.
        num_heads: heads of each, a divisor of the width.
        norm: one of `NORMS`, by name.
        pre_norm: normalise before attention and FFN, or else after.
        rngs: random streams of the parameters.

    Raises:
        ValueError: unknown `norm`, a size that is not positive, `num_heads` does not
            divide `width`.
    """

    def __init__(
        self,
        width: int,
        hidden: Sequence[int],
        num_layers: int,
        num_heads: int,
        norm: str,
        pre_norm: bool,
        *,
        rngs: nnx.Rngs,
    ):
        check_positive(width=width, num_layers=num_layers, num_heads=num_heads)
        if norm not in NORMS:
            raise ValueError(f"norm: expected one of {', '.join(NORMS)}, got {norm!r}")
        block = (width, num_heads, (*hidden, width)[0], NORMS[norm], pre_norm)
        self.blocks = nnx.List(
            [TransformerBlock(*block, rngs=rngs) for _ in range(num_layers)]
        )

    def __call__(
        self, g: Elements, present: Present
    ) -> tuple[Elements, Float[Array, "rows layers heads elements elements"]]:
        """New elements, and the attention weights of each block."""
        weights = []
        for block in self.blocks:
            g, weight = block(g, present)
            weights.append(weight)
        return g, jnp.stack(weights, 1)
