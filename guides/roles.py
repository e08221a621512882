"""The role of an aggregation: from features of a set of modalities to q(z | x_S).

An aggregation is constructed as `aggregation(num_features, latent_dim, rngs=rngs)`. The
work is split so that several subsets of one data set cost one encoding (`embed`) and
several cheap poolings. Permuting the modalities of `h` and of `subset` together changes
nothing, and an absent modality has no influence, not in the last bit.
"""

from abc import abstractmethod

import jax.numpy as jnp
import numpyro.distributions as dist
from flax import nnx
from jaxtyping import Array, Bool, Float, PyTree


class Aggregation(nnx.Module):
    """The role; subclasses are final. Trees below may be single arrays."""

    @abstractmethod
    def embed(
        self, h: Float[Array, "rows modalities features"]
    ) -> PyTree[Float[Array, "rows modalities ..."]]:
        """All that can be computed of each modality alone, before the subset is known."""

    @abstractmethod
    def pool(
        self,
        embedded: PyTree[Float[Array, "rows modalities ..."]],
        subset: Bool[Array, "rows modalities"],
    ) -> PyTree[Float[Array, "rows ..."]]:
        """Parameters of q(z | x_S) from the embedded modalities of S."""

    @abstractmethod
    def distribution(
        self, parameters: PyTree[Float[Array, "rows ..."]]
    ) -> dist.Distribution:
        """q(z | x_S), batch `[N]`, event `[D]`."""

    def attention_weights(
        self,
        embedded: PyTree[Float[Array, "rows modalities ..."]],
        subset: Bool[Array, "rows modalities"],
    ) -> Float[Array, "rows layers heads modalities modalities"] | None:
        """How much each modality attends to each; None where nothing attends."""
        return None


def only(
    embedded: Float[Array, "rows modalities embedded"],
    subset: Bool[Array, "rows modalities"],
) -> Float[Array, "rows modalities embedded"]:
    """Zero outside S, whatever stands there: left out, not multiplied by zero."""
    return jnp.where(subset[..., None], embedded, 0.0)


def sum_over(
    embedded: Float[Array, "rows modalities embedded"],
    subset: Bool[Array, "rows modalities"],
) -> Float[Array, "rows embedded"]:
    """Σ_{s∈S}."""
    return only(embedded, subset).sum(-2)
