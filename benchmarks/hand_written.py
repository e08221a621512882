"""The floor: training with the masked bound in plain JAX, no library in between.

MLP encoders, SumPooling (χ and ρ with one hidden layer), linear decoders, STL; the
arithmetic that any implementation must do, and no more.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import lax


class Sizes(NamedTuple):
    """Of networks and batch.

    Attributes:
        modalities: M.
        width: columns of each.
        hidden: widths of an encoder's hidden layers.
        features: F, and the width of χ and ρ.
        latent: D.
        rows: of a batch.
    """

    modalities: int
    width: int
    hidden: tuple[int, ...]
    features: int
    latent: int
    rows: int


SMALL = Sizes(3, 20, (64,), 64, 8, 64)
MEDIUM = Sizes(5, 25, (512, 512), 256, 25, 256)


def mlp(rng_key: jax.Array, widths: tuple[int, ...]) -> list:
    """Weights and biases of one network."""
    keys = jax.random.split(rng_key, len(widths) - 1)
    return [
        (jax.random.normal(k, (i, o)) / math.sqrt(i), jnp.zeros(o))
        for k, i, o in zip(keys, widths[:-1], widths[1:], strict=True)
    ]


def initial_params(rng_key: jax.Array, sizes: Sizes = MEDIUM) -> dict:
    """Weights and biases of all layers."""
    m, f = sizes.modalities, sizes.features
    keys = jax.random.split(rng_key, 2 * m + 2)
    encoder = (sizes.width, *sizes.hidden, f)
    return {
        "encoders": [mlp(k, encoder) for k in keys[:m]],
        "decoders": [mlp(k, (sizes.latent, sizes.width)) for k in keys[m:-2]],
        "chi": mlp(keys[-2], (f, f, f)),
        "rho": mlp(keys[-1], (f, f, 2 * sizes.latent)),
    }


def apply(layers: list, x: jax.Array) -> jax.Array:
    """A multi-layer perceptron."""
    for weight, bias in layers[:-1]:
        x = jax.nn.relu(x @ weight + bias)
    weight, bias = layers[-1]
    return x @ weight + bias


def loss(
    params: dict, rng_key: jax.Array, x: jax.Array, present: jax.Array
) -> jax.Array:
    """Negative masked bound of rows `x [M, N, WIDTH]`, summed."""
    key_rate, key_subset, key_noise = jax.random.split(rng_key, 3)
    rate = jax.random.uniform(key_rate, (len(present), 1))
    subset = present & jax.random.bernoulli(key_subset, rate, present.shape)
    filled = [jnp.where(present[:, [i]], v, 0) for i, v in enumerate(x)]
    h = jnp.stack([apply(net, v) for net, v in zip(params["encoders"], filled)], 1)
    embedded = apply(params["chi"], h)
    views = jnp.stack([subset, present])
    pooled = jnp.where(views[..., None], embedded, 0).sum(-2)
    loc, log_scale = jnp.split(apply(params["rho"], pooled), 2, -1)
    scale = 1e-3 + jnp.exp(log_scale)
    z = loc + scale * jax.random.normal(key_noise, loc.shape)
    decoded = [apply(net, z) for net in params["decoders"]]
    log_x = jnp.stack([log_normal(v, d, 1.0) for v, d in zip(filled, decoded)], -1)
    score = jnp.stack([subset, present & ~subset])
    log_q = log_normal(z, lax.stop_gradient(loc), lax.stop_gradient(scale))
    log_other = jnp.stack(
        [log_normal(z[0], 0.0, 1.0), log_normal(z[1], loc[0], scale[0])]
    )
    bound = jnp.where(score, log_x, 0).sum(-1) + log_other - log_q
    rest = (present & ~subset).any(-1)
    return -(bound[0] + jnp.where(rest, bound[1], 0)).sum()


def log_normal(
    x: jax.Array, loc: jax.Array | float, scale: jax.Array | float
) -> jax.Array:
    """Σ over the last axis of log N(x; loc, scale²)."""
    square = ((x - loc) / scale) ** 2
    return (-0.5 * (square + math.log(2 * math.pi)) - jnp.log(scale)).sum(-1)


def step(optimizer: optax.GradientTransformation, loss: Callable = loss) -> Callable:
    """A training step `(params, state, key), (x, present) → the same, loss`."""

    def update(carry, batch):
        params, state, key = carry
        key, key_step = jax.random.split(key)
        value, gradient = jax.value_and_grad(loss)(params, key_step, *batch)
        change, state = optimizer.update(gradient, state)
        return (optax.apply_updates(params, change), state, key), value

    return update


def start(params: dict, optimizer: optax.GradientTransformation) -> tuple:
    """What `step` carries, at the start."""
    return params, optimizer.init(params), jax.random.key(0)
