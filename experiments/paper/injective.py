"""The decoders of Tables 3 and 4: bent as the true maps are, and straight at first."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

SLOPE = 0.1  # of the LeakyReLU below zero


class InjectiveDecoder(nnx.Module):
    """x = a(z A + b) B + c with a LeakyReLU a: the true maps are of this form.

    Units come in pairs of opposite sign, a(t) − a(−t) = (1 + slope) t, so that the map is
    linear and an isometry before training (where there are as many features as latents).

    Args:
        latent_dim: D.
        event_shape: `(features,)`.
        pairs: of units; by default as many as features.
        rngs: random streams of the parameters.
    """

    def __init__(
        self,
        latent_dim: int,
        event_shape: tuple[int, ...],
        *,
        pairs: int | None = None,
        rngs: nnx.Rngs,
    ):
        (features,) = event_shape
        count = max(features, latent_dim) if pairs is None else pairs
        if count < latent_dim:
            raise ValueError(f"pairs: expected {latent_dim} or more, got {pairs}")
        self.first = nnx.Linear(latent_dim, 2 * count, rngs=rngs)
        self.last = nnx.Linear(2 * count, features, rngs=rngs)
        rows, turn = (
            nnx.initializers.orthogonal()(rngs.params(), (latent_dim, width))
            for width in (count, features)
        )
        back = rows.T @ turn / (1 + SLOPE)
        self.first.kernel[...] = jnp.concatenate([rows, -rows], 1)
        self.last.kernel[...] = jnp.concatenate([back, -back], 0)

    def __call__(self, z: Float[Array, "rows latent"]) -> Float[Array, "rows features"]:
        return self.last(nnx.leaky_relu(self.first(z), SLOPE))


def holding(
    layers: tuple[Float[Array, "inputs units"], Float[Array, "units outputs"]],
    units: int,
) -> dict:
    """Parameters of a decoder of `units` that is the map a(z A) B; the rest say nothing."""
    first, last = layers
    more = units - first.shape[1]
    return {
        "first": {
            "kernel": jnp.pad(first, ((0, 0), (0, more)), constant_values=0.1),
            "bias": jnp.zeros(units),
        },
        "last": {
            "kernel": jnp.pad(last, ((0, more), (0, 0))),
            "bias": jnp.zeros(last.shape[1]),
        },
    }
