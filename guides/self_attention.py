"""Self-attention between the modalities of a subset (Set Transformer)."""

from collections.abc import Callable, Sequence
from typing import final

import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.guides.heads import Head, NormalHead, check_head, final_scale
from consilience.guides.roles import Aggregation, only, sum_over
from consilience.nn.attention import TransformerBlocks
from consilience.nn.mlp import MLP


@final
class SelfAttention(Aggregation):
    """Transformer blocks over S, summed: ϑ = ρ( Σ_{s∈S} g^L_s ), g⁰_s = χ(h_s).

    Lee et al. 2019 (Set Transformer); Hirt et al. 2024, Example 2. Absent modalities are
    excluded from every softmax and every statistic.

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        width: of χ's output and of the blocks.
        hidden: hidden layers of χ and ρ; the first is FFN's hidden width, too.
        network: constructor of χ and ρ; the paper's is
            `partial(MLP, activation=nnx.leaky_relu)`.
        num_layers: blocks.
        num_heads: heads of each block, a divisor of `width`.
        norm: "layer", or "set" for statistics over present elements and features.
        pre_norm: normalise before attention and FFN, or else after.
        head: turns ϑ into a distribution: an instance of one of `HEADS`.
        rngs: random streams of the parameters.

    Raises:
        ValueError: unknown `norm`, a size that is not positive, `num_heads` does not
            divide `width`.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (128,),
        network: Callable = MLP,
        num_layers: int = 1,
        num_heads: int = 4,
        norm: str = "layer",
        pre_norm: bool = True,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        check_head(head)
        self.chi = network(num_features, hidden, width, rngs=rngs)
        settings = (num_layers, num_heads, norm, pre_norm)
        self.blocks = TransformerBlocks(width, hidden, *settings, rngs=rngs)
        out = head.num_parameters(latent_dim)
        small = final_scale(head)
        self.rho = network(width, hidden, out, final_scale=small, rngs=rngs)
        self.head = head

    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> Float[Array, "rows modalities embedded"]:
        """χ(h_s)."""
        return self.chi(h)

    def pool(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows parameters"]:
        """ϑ."""
        g, _ = self.blocks(only(embedded, subset), subset)
        return self.rho(sum_over(g, subset))

    def attention_weights(
        self,
        embedded: Float[Array, "rows modalities embedded"],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows layers heads modalities modalities"]:
        """How much each modality attends to each (Remark 11): [n, l, h, query, key]."""
        _, weights = self.blocks(only(embedded, subset), subset)
        return jnp.where(subset[:, None, None, :, None], weights, 0.0)

    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        return self.head(parameters)
