"""What every section counts and times with.

FLOPs are XLA's own count of the program compiled for a CPU, so that they mean the same on
every device. Times are minima over rounds in which everything compared takes its turn.
"""

import time
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax


class Program:
    """Steps under `lax.scan`, compiled; call it for seconds a step.

    Args:
        step: `(state, data) → (state, anything)`.
        state: at the start.
        data: what each step is given.
        length: steps a call.
    """

    def __init__(self, step: Callable, state: object, data: object, length: int = 10):
        started = time.perf_counter()
        self.compiled = scan(step, length).lower(state, data).compile()
        self.seconds_to_compile = time.perf_counter() - started
        self.step, self.given, self.length = step, (state, data), length

    def __call__(self) -> float:
        return seconds(self.compiled, *self.given) / self.length

    @property
    def flops(self) -> float:
        """Of one step: XLA counts the body of a loop once."""
        if jax.default_backend() == "cpu":
            return self.compiled.cost_analysis()["flops"]
        return count(self.step, *self.given)


def scan(step: Callable, length: int) -> Callable:
    """A jitted function that takes `length` steps."""

    def steps(state, data):
        return lax.scan(lambda s, _: step(s, data), state, length=length)

    return jax.jit(steps)


def count(step: Callable, *arguments: object) -> float:
    """FLOPs of a step, compiled for a CPU whatever the device is."""
    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), arguments)
    with jax.default_device(jax.devices("cpu")[0]):
        return jax.jit(step).lower(*shapes).compile().cost_analysis()["flops"]


def seconds(function: Callable, *arguments: object) -> float:
    """Of one call, until its results are there."""
    started = time.perf_counter()
    jax.block_until_ready(function(*arguments))
    return time.perf_counter() - started


def fastest(clocks: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The least that each clock shows, in rounds where each takes its turn."""
    for clock in clocks.values():
        clock()
    taken = [{name: clock() for name, clock in clocks.items()} for _ in range(rounds)]
    return {name: min(times[name] for times in taken) for name in clocks}


def matrix_product(size: int) -> Callable[[], float]:
    """A clock of one large product; it shows seconds a FLOP."""
    x = jax.random.normal(jax.random.key(0), (size, size))
    product = jax.jit(jnp.dot)
    jax.block_until_ready(product(x, x))
    return lambda: seconds(product, x, x) / (2 * size**3)


def peak_size(at_least: float = 0.02) -> int:
    """The size from which on a product takes `at_least` seconds on this device."""
    size = 1024
    while matrix_product(size)() * 2 * size**3 < at_least:
        size *= 2
    return size


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """Of log y over log x, by least squares: the exponent of a power law."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])
