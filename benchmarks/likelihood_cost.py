"""Section "samples": importance-sampled log-likelihoods as K grows, against plain JAX."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from clocks import fastest, seconds, slope
from figures import Figure
from hand_written import log_normal
from jax import lax
from numpyro.infer import SVI

import consilience as cs

MODALITIES, WIDTH, LATENT, ROWS = 3, 10, 10, 500
SAMPLES = (1000, 10_000, 100_000)
BLOCK = 100  # samples at once


def programs(rows: int) -> tuple:
    """Linear decoders and a sum pooling guide, as they start, and rows."""
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.normal(size=(rows, WIDTH)) for i in range(MODALITIES)}
    data = cs.MultimodalData.from_arrays(values)
    likelihood, networks = (
        cs.NormalLikelihood(1.0),
        cs.Networks(decoders=cs.LinearDecoder),
    )
    method = cs.masked(LATENT, likelihood, networks)
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    params = svi.get_params(jax.jit(svi.init)(jax.random.key(0), data))
    return method.model, method.guide, params, data


@partial(jax.jit, static_argnames="blocks")
def by_hand(rng_key, x: jax.Array, weights: jax.Array, posterior, blocks: int):
    """log 1/K Σ w of rows `x [M, N, WIDTH]` and linear decoders, K = blocks · BLOCK."""
    loc, scale = posterior

    def block(running, key):
        top, total = running
        z = loc + scale * jax.random.normal(key, (BLOCK, *loc.shape))
        log_x = sum(log_normal(v, z @ w, 1.0) for v, w in zip(x, weights, strict=True))
        log_w = log_x + log_normal(z, 0.0, 1.0) - log_normal(z, loc, scale)
        now = jnp.maximum(top, log_w.max(0))
        total = total * jnp.exp(top - now) + jnp.exp(log_w - now).sum(0)
        return (now, total), None

    start = jnp.full(len(loc), -jnp.inf), jnp.zeros(len(loc))
    top, total = lax.scan(block, start, jax.random.split(rng_key, blocks))[0]
    return top + jnp.log(total / (blocks * BLOCK))


def clocks(parts: tuple, num_samples: int) -> dict:
    """The estimate with its diagnostics, and the estimate alone by hand."""
    key, data = jax.random.key(1), parts[-1]
    x = jnp.stack([data.values[name] for name in data.names])
    weights = jax.random.normal(key, (MODALITIES, LATENT, WIDTH))
    posterior = jnp.zeros((data.size, LATENT)), jnp.ones((data.size, LATENT))
    given = {"num_samples": num_samples, "samples_at_once": BLOCK}
    ours = partial(cs.log_likelihood, key, *parts, **given)
    theirs = partial(by_hand, key, x, weights, posterior, num_samples // BLOCK)
    return {"ours": partial(seconds, ours), "theirs": partial(seconds, theirs)}


def measure(quick: bool = False) -> list[Figure]:
    """Seconds by K, and their exponent."""
    sizes, rows = ((200, 400), 100) if quick else (SAMPLES, ROWS)
    parts, found, taken = programs(rows), [], []
    for k in sizes:
        rounds = 1 if quick or k == SAMPLES[-1] else 5
        times = fastest(clocks(parts, k), rounds)
        taken.append(times["ours"])
        found.append(Figure(f"K = {k}: time", times["ours"], "s", times["theirs"]))
    name = f"time from K = {sizes[0]} to {sizes[-1]}, exponent"
    million = sizes[-1] * rows / taken[-1] / 1e6
    return [
        *found,
        Figure(name, slope(sizes, taken)),
        Figure("draws of rows", million, "million a second"),
    ]
