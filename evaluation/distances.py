"""Distances between two sets of draws."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key

from consilience.nn.kinds import checked_kinds


def energy_distance(
    x: Float[Array, "draws dims"], y: Float[Array, "others dims"]
) -> Float[Array, ""]:
    """2 E|X − Y| − E|X − X'| − E|Y − Y'|, unbiased (Székely & Rizzo 2013).

    Zero if and only if the laws are one; its estimate may be negative then.
    """
    within = _mean_distance(x, x) * _unbiased(x) + _mean_distance(y, y) * _unbiased(y)
    return 2 * _mean_distance(x, y) - within


@checked_kinds
def sliced_wasserstein(
    rng_key: Key[Array, ""],
    x: Float[Array, "draws dims"],
    y: Float[Array, "draws dims"],
    num_directions: int = 100,
) -> Float[Array, ""]:
    """Root of the mean of W₂² over random directions (Bonneel et al. 2015).

    Of as many draws of both; for finite numbers of them it is biased upwards, hence the
    floor in `check_posterior`.
    """
    directions = jax.random.normal(rng_key, (x.shape[-1], num_directions))
    directions /= jnp.linalg.norm(directions, axis=0)
    along = [jnp.sort(points @ directions, axis=0) for points in (x, y)]
    return jnp.sqrt(jnp.square(along[0] - along[1]).mean())


def _mean_distance(x: Array, y: Array) -> Float[Array, ""]:
    """Mean distance of all pairs, one row of them in memory at a time."""

    def one(point):
        return jnp.sqrt(jnp.square(y - point).sum(-1)).mean()

    return jax.lax.map(one, x, batch_size=64).mean()


def _unbiased(x: Array) -> float:
    return len(x) / (len(x) - 1)
