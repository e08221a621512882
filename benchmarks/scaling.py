"""Section "modalities": FLOPs, time and compilation of a step as M grows.

Exponents are slopes of logarithms over log M, at a fixed batch.
"""

from functools import partial

import jax
import numpy as np
import optax
from clocks import Program, fastest, slope
from figures import Figure
from numpyro.infer import SVI

import consilience as cs

ROWS, WIDTH, LATENT, HIDDEN = 128, 16, 8, 64
MODALITIES = (2, 4, 8, 16, 32, 64)
POOLED = {"width": HIDDEN, "hidden": (HIDDEN,)}
AGGREGATIONS = {
    "product of experts": cs.ProductOfExperts,
    "sum pooling": partial(cs.SumPooling, **POOLED),
    "self-attention": partial(cs.SelfAttention, **POOLED),
}


def step(aggregation: str, num_modalities: int) -> tuple:
    """`svi.update`, its state, a batch."""
    generator = np.random.default_rng(0)
    names = [f"m{i:02}" for i in range(num_modalities)]
    values = {n: generator.normal(size=(ROWS, WIDTH)) for n in names}
    data = cs.MultimodalData.from_arrays(values)
    networks = cs.Networks(
        partial(cs.MLPEncoder, hidden=(HIDDEN,)),
        partial(cs.MLPDecoder, hidden=(HIDDEN,)),
        HIDDEN,
    )
    pooling = AGGREGATIONS[aggregation]
    method = cs.masked(LATENT, cs.NormalLikelihood(1.0), networks, pooling)
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    return svi.update, jax.jit(svi.init)(jax.random.key(0), data), data


def measure(quick: bool = False) -> list[Figure]:
    """Exponents, and what they are the slopes of."""
    counts = MODALITIES[:2] if quick else MODALITIES
    rounds, found = 1 if quick else 20, []
    for name in list(AGGREGATIONS)[: 1 if quick else None]:
        programs = {m: Program(*step(name, m), length=1) for m in counts}
        times = fastest(programs, rounds)
        columns = {
            "FLOPs": [p.flops / 1e9 for p in programs.values()],
            "time": [1e3 * t for t in times.values()],
            "tracing and compiling": [p.seconds_to_compile for p in programs.values()],
        }
        found += growth(name, counts, columns)
    return found


UNITS = {"FLOPs": "GFLOP", "time": "ms", "tracing and compiling": "s"}


def growth(name: str, counts: tuple[int, ...], columns: dict) -> list[Figure]:
    """Of one aggregation."""
    found = []
    for what, values in columns.items():
        found.append(Figure(f"{name}: {what}, exponent", slope(counts, values)))
        if what == "FLOPs" and counts[-2:] == (32, 64):
            last = slope(counts[-2:], values[-2:])
            found.append(Figure(f"{name}: {what}, exponent from 32 to 64", last))
        found += [
            Figure(f"{name}: {what}, {m} modalities", v, UNITS[what])
            for m, v in zip(counts, values, strict=True)
            if m in (counts[0], 16, counts[-1])
        ]
    return found
