"""Section "peak": the share of the device's matrix-product rate, and what limits it.

Five encoders 25-512-512-256 at batch 256, the masked bound. The rate of one large float32
product is measured in the same rounds.
"""

from collections.abc import Callable

import hand_written
import jax
import jax.numpy as jnp
import optax
from clocks import Program, fastest, matrix_product, peak_size
from figures import Figure
from hand_written import MEDIUM, Sizes
from jax import lax
from step_cost import batch, library

SHAPE = (MEDIUM.rows, *MEDIUM.hidden)  # of a product in the middle of an encoder


def by_hand(sizes: Sizes = MEDIUM, optimizer=optax.adam(1e-3)) -> tuple:  # noqa: B008
    """The hand-written step at other sizes, or with another optimiser."""
    params = hand_written.initial_params(jax.random.key(0), sizes)
    start = hand_written.start(params, optimizer)
    return hand_written.step(optimizer), start, batch(sizes)


def steps(quick: bool) -> dict[str, tuple]:
    """The step, and what it becomes when one thing is changed."""
    found = {"the library's step": library("masked"), "hand-written": by_hand()}
    if quick:
        return found
    flat = optax.flatten(optax.adam(1e-3))
    odd = MEDIUM._replace(hidden=(500, 500), features=250)
    return found | {
        "hand-written, without Adam": by_hand(optimizer=optax.sgd(1e-3)),
        "hand-written, Adam on one vector": by_hand(optimizer=flat),
        "hand-written, widths 500 and 250": by_hand(odd),
        "hand-written, batch 1024": by_hand(MEDIUM._replace(rows=1024)),
    }


def products() -> dict[str, tuple]:
    """The products of one layer, forwards and backwards."""
    rows, inside, out = SHAPE
    keys = jax.random.split(jax.random.key(0), 3)
    shapes = (rows, inside), (inside, out), (rows, out)
    x, w, g = (jax.random.normal(k, s) for k, s in zip(keys, shapes, strict=True))
    return {
        "x W, forwards": (lambda x, w: x @ w, x, w),
        "g Wᵀ, for the layer below": (lambda g, w: g @ w.T, g, w),
        "xᵀ g, for the weights": (lambda x, g: x.T @ g, x, g),
        "xᵀ g, xᵀ copied first": (lambda x, g: copied(x.T) @ g, x, g),
    }


def copied(x: jax.Array) -> jax.Array:
    """Kept from being fused into what reads it."""
    return lax.optimization_barrier(x)


def repeated(product: Callable, a: jax.Array, b: jax.Array) -> tuple:
    """A product as a step that must be done each time: it waits for the one before."""

    def step(a, b):
        found = product(a, b)
        return a + 1e-30 * found[0, 0], None

    return step, a, b


def measure(quick: bool = False) -> list[Figure]:
    """GFLOP/s of each against that of one large product."""
    length, rounds = (1, 1) if quick else (5, 20)
    programs = {n: Program(*parts, length) for n, parts in steps(quick).items()}
    single = {n: Program(*repeated(*p), 8 * length) for n, p in products().items()}
    peak = matrix_product(peak_size())
    times = fastest({"peak": peak} | programs | single, rounds)
    rate = 1 / times.pop("peak") / 1e9
    count = {n: p.flops for n, p in programs.items()}
    count |= dict.fromkeys(single, 2.0 * jnp.prod(jnp.array(SHAPE)))
    found = {n: float(count[n]) / t / 1e9 for n, t in times.items()}
    return [
        Figure(
            name, value, "GFLOP/s", rate, "≥ 0.57" if name.startswith("the l") else ""
        )
        for name, value in found.items()
    ]
