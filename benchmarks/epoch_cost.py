"""Section "fit": its epochs against a hand-written scan, and a scan over `svi.update`."""

import time
from collections.abc import Callable
from itertools import pairwise

import hand_written
import jax
import optax
from figures import Figure
from hand_written import MEDIUM, SMALL, Sizes
from jax import lax
from numpyro.infer import SVI
from step_cost import as_data, batch, masked

import consilience as cs

STEPS = {"small": 160, "medium": 16}
NETS = {"small": SMALL, "medium": MEDIUM}


def rows(sizes: Sizes, steps: int) -> tuple[jax.Array, jax.Array]:
    """A data set of so many batches."""
    return batch(sizes._replace(rows=steps * sizes.rows))


def fitting(svi: SVI, data: cs.MultimodalData, size: int) -> Callable[[int], list]:
    """`fit` for some epochs → seconds from one epoch's end to the next."""

    def run(epochs: int) -> list[float]:
        ends = []
        settings = {"num_epochs": epochs + 1, "batch_size": size, "progress": False}
        look = lambda epoch, fitted: ends.append(time.perf_counter())  # noqa: E731
        cs.fit(jax.random.key(0), svi, data, callbacks=[look], **settings)
        return [b - a for a, b in pairwise(ends)]

    return run


def scanning(step: Callable, state: object, take: Callable, num_rows: int, size: int):
    """A scan over the shuffled batches of an epoch → seconds of each."""

    @jax.jit
    def epoch(state, key):
        order = jax.random.permutation(key, num_rows).reshape(-1, size)
        return lax.scan(lambda s, index: step(s, take(index)), state, order)

    def run(epochs: int) -> list[float]:
        now, found = state, []
        for key in jax.random.split(jax.random.key(0), epochs):
            started = time.perf_counter()
            now, losses = epoch(now, key)
            losses.mean().item()
            found.append(time.perf_counter() - started)
        return found

    return run


def runs(sizes: Sizes, steps: int) -> dict[str, Callable[[int], list]]:
    """The three, on the same rows and networks."""
    x, present = rows(sizes, steps)
    method, data, optimizer = masked(sizes), as_data(x, present), optax.adam(1e-3)
    svi = SVI(method.model, method.guide, optimizer, method.elbo)
    first = data.batch(jax.numpy.arange(sizes.rows))
    state = jax.jit(svi.init)(jax.random.key(0), first)
    params = hand_written.initial_params(jax.random.key(0), sizes)
    carry = hand_written.start(params, optimizer)
    shape = (data.size, sizes.rows)
    by_hand = (hand_written.step(optimizer), carry, lambda i: (x[:, i], present[i]))
    return {
        "fit": fitting(svi, data, sizes.rows),
        "svi": scanning(svi.update, state, data.batch, *shape),
        "by hand": scanning(*by_hand, *shape),
    }


def measure(quick: bool = False) -> list[Figure]:
    """Milliseconds a step, of whole epochs."""
    rounds, epochs, found = (1, 1, []) if quick else (6, 6, [])
    for name in ("small",) if quick else NETS:
        steps = 10 if quick else STEPS[name]
        clocks = runs(NETS[name], steps)
        for run in clocks.values():
            run(1)
        taken = {n: [] for n in clocks}
        for _ in range(rounds):
            for n, run in clocks.items():
                taken[n] += run(epochs)
        fit, svi, hand = (1e3 * min(times) / steps for times in taken.values())
        for what, other, aim in (
            ("a hand-written scan", hand, "≤ 1.10" if name == "small" else ""),
            ("a scan of svi.update", svi, "< 1.05"),
        ):
            title = f"{name} net: a step of fit, of {what}"
            found.append(Figure(title, fit, "ms", other, aim))
    return found
