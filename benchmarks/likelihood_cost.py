"""Section "samples": importance-sampled log-likelihoods as K grows.

They are held against drawing as many normals by JAX and doing nothing with them.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from clocks import fastest, seconds, slope
from figures import Figure
from jax import lax
from numpyro.infer import SVI

import consilience as cs

MODALITIES, WIDTH, LATENT, ROWS = 3, 10, 10, 1000
SAMPLES = (1000, 10_000, 100_000)
CHUNK, BLOCK = 500, 100  # rows and samples at once


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


@partial(jax.jit, static_argnames=("blocks", "rows"))
def normals(rng_key: jax.Array, blocks: int, rows: int) -> jax.Array:
    """Draws of all rows in blocks, added up."""

    def block(total, key):
        return total + jax.random.normal(key, (BLOCK, rows, LATENT)).sum(0), None

    keys = jax.random.split(rng_key, blocks)
    return lax.scan(block, jnp.zeros((rows, LATENT)), keys)[0]


def clocks(parts: tuple, num_samples: int, rows: int) -> dict:
    """The estimate, and the normals alone."""
    key, chunks = jax.random.key(1), -(-rows // CHUNK)
    settings = {"num_samples": num_samples, "chunk_size": CHUNK}
    estimate = partial(
        cs.log_likelihood, key, *parts, samples_at_once=BLOCK, **settings
    )
    draw = partial(normals, key, chunks * num_samples // BLOCK, min(rows, CHUNK))
    return {"ours": partial(seconds, estimate), "normals": partial(seconds, draw)}


def measure(quick: bool = False) -> list[Figure]:
    """Seconds by K, and their exponent."""
    sizes, rows = ((200, 400), 100) if quick else (SAMPLES, ROWS)
    parts, found, taken = programs(rows), [], []
    for k in sizes:
        rounds = 1 if quick or k == SAMPLES[-1] else 5
        times = fastest(clocks(parts, k, rows), rounds)
        taken.append(times["ours"])
        name = f"K = {k}, {rows} rows: time, against drawing the normals alone"
        found.append(Figure(name, times["ours"], "s", times["normals"]))
    name = f"time from K = {sizes[0]} to {sizes[-1]}, exponent"
    million = sizes[-1] * rows / taken[-1] / 1e6
    return [
        *found,
        Figure(name, slope(sizes, taken)),
        Figure("draws of rows", million, "million a second"),
    ]
