"""Laws of missingness, to hide what was measured."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Key

from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_within


@checked_kinds
def missing_completely_at_random(
    rng_key: Key[Array, ""], present: Bool[Array, "rows modalities"], rate: float
) -> Bool[Array, "rows modalities"]:
    """Hide each present modality with probability `rate`, but never a row's last one.

    A row that would lose everything keeps one of its modalities, drawn uniformly, so
    that slightly less than `rate` of all modalities go (Hirt et al. 2024, section 5.2).

    Args:
        rng_key: random key.
        present: which modalities each row has now.
        rate: probability of hiding, 0 ≤ rate < 1.

    Returns:
        which modalities each row still has; use it with `data.restrict(...)`.

    Raises:
        ValueError: `rate` is outside [0, 1).
    """
    check_within("rate", rate, 0, 1, "[)")
    key_keep, key_one = jax.random.split(rng_key)
    keep = present & jax.random.bernoulli(key_keep, 1 - rate, present.shape)
    logits = jnp.where(present, 0.0, jnp.finfo(jnp.float32).min)
    one = jax.nn.one_hot(
        jax.random.categorical(key_one, logits), present.shape[-1], dtype=bool
    )
    return jnp.where(keep.any(-1, keepdims=True), keep, one & present)
