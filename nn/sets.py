"""Subsets of modalities: all of them, and random ones."""

import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.scipy.special import gammaln
from jaxtyping import Array, Bool, Float, Key

MAX_MODALITIES = 12


def all_subsets(
    num_modalities: int, advice: str = "use a law that draws one of them"
) -> Bool[np.ndarray, "subsets modalities"]:
    """All 2^M subsets, the empty one first.

    Raises:
        ValueError: M > 12, with the advice.
    """
    if num_modalities > MAX_MODALITIES:
        raise ValueError(
            f"expected at most {MAX_MODALITIES} modalities to list their subsets, got "
            f"{num_modalities}, which have 2^{num_modalities}; {advice}"
        )
    codes = np.arange(2**num_modalities)
    return (codes[:, None] >> np.arange(num_modalities)) % 2 == 1


def log_binomial(
    count: Float[Array, "*#batch"], size: Float[Array, "*#batch"]
) -> Float[Array, "*batch"]:
    """log of the number of subsets of this size; NaN-free for 0 ≤ size ≤ count."""
    return gammaln(count + 1) - gammaln(size + 1) - gammaln(count - size + 1)


def random_non_empty(
    rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"]
) -> Bool[Array, "rows modalities"]:
    """A non-empty subset of what is present, uniform; empty where nothing is.

    Coins decide on each member. That no earlier one came heads has probability 2^-i for
    the i-th member, so the first head is drawn from that law, and coins for the rest.
    """
    key_first, key_rest = jax.random.split(rng_key)
    halvings = -math.log(2.0) * jnp.cumsum(present, -1)
    halvings = jnp.where(present, halvings, jnp.finfo(halvings.dtype).min)
    first = jax.random.categorical(key_first, halvings)[..., None]
    rest = jax.random.bernoulli(key_rest, 0.5, present.shape)
    column = jnp.arange(present.shape[-1])
    return present & ((column == first) | ((column > first) & rest))


def random_of_size(
    rng_key: Key[Array, ""],
    present: Bool[Array, "rows modalities"],
    logits: Float[Array, "rows sizes"],
) -> Bool[Array, "rows modalities"]:
    """A size from 0 to M with these logits, then any subset of that size."""
    key_size, key_members = jax.random.split(rng_key)
    size = jax.random.categorical(key_size, logits)
    order = jnp.where(present, jax.random.uniform(key_members, present.shape), 2.0)
    rank = jnp.argsort(jnp.argsort(order, -1), -1)
    return present & (rank < size[..., None])
