"""Sum pooling (Deep Sets)."""

from collections.abc import Callable, Sequence
from typing import final

import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float

from consilience.guides.heads import Head, NormalHead, check_head, final_scale
from consilience.guides.roles import Aggregation, sum_over
from consilience.nn.mlp import MLP


@final
class SumPooling(Aggregation):
    """Deep Sets: ϑ = ρ( Σ_{s∈S} χ(h_s) ) (Zaheer et al. 2017; Hirt et al., Example 1).

    Args:
        num_features: F, the width of h_s.
        latent_dim: D.
        width: of χ's output, the pooled space.
        hidden: hidden layers of χ and of ρ.
        network: constructor of χ and ρ: `MLP`, `ResidualMLP` for pre-activation
            residual blocks, or `SkipMLP`, which goes well with a `NaturalHead`.
        head: turns ϑ into a distribution: an instance of one of `HEADS`.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        num_features: int,
        latent_dim: int,
        *,
        width: int = 128,
        hidden: Sequence[int] = (128,),
        network: Callable = MLP,
        head: Head = NormalHead(),  # noqa: B008 (frozen)
        rngs: nnx.Rngs,
    ):
        check_head(head)
        out = head.num_parameters(latent_dim)
        self.chi = network(num_features, hidden, width, rngs=rngs)
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
        return self.rho(sum_over(embedded, subset))

    def distribution(
        self, parameters: Float[Array, "rows parameters"]
    ) -> dist.Distribution:
        return self.head(parameters)
