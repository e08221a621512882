"""Cost of a training step against hand-written JAX, in one run.

FLOPs are XLA's own count of the compiled step; times are minima over rounds that
alternate between the two, each round a `lax.scan` of steps.
"""

import argparse
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import hand_written as floor
import jax
import jax.numpy as jnp
import optax
from jax import lax
from numpyro.infer import SVI

import consilience as cs


def batch(sizes: ModuleType = floor) -> tuple[jax.Array, jax.Array]:
    """Values `[M, N, WIDTH]` and presence `[N, M]`, 30 % missing."""
    key = jax.random.key(0)
    x = jax.random.normal(key, (sizes.MODALITIES, sizes.ROWS, sizes.WIDTH))
    complete = jnp.ones((sizes.ROWS, sizes.MODALITIES), bool)
    return x, cs.missing_completely_at_random(key, complete, 0.3)


def as_data(sizes: ModuleType = floor) -> cs.MultimodalData:
    """The same batch as the library takes it."""
    x, present = batch(sizes)
    values = {f"m{i}": jax.device_get(v) for i, v in enumerate(x)}
    return cs.MultimodalData.from_arrays(values, present=jax.device_get(present))


def library_step() -> tuple[Callable, object, cs.MultimodalData]:
    """The same step through SVI and `MaskedELBO`."""
    data = as_data()
    model = cs.multimodal_model(
        cs.standard_normal(floor.LATENT), cs.NormalLikelihood(1.0), cs.LinearDecoder
    )
    guide = cs.amortized_guide(
        floor.LATENT,
        partial(cs.MLPEncoder, hidden=(floor.HIDDEN, floor.HIDDEN)),
        partial(cs.SumPooling, width=floor.FEATURES, hidden=(floor.FEATURES,)),
        floor.FEATURES,
    )
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    return svi.update, svi.init(jax.random.key(0), data), data


def floor_step() -> tuple[Callable, object, tuple]:
    """The hand-written step."""
    optimizer = optax.adam(1e-3)
    params = floor.initial_params(jax.random.key(0))
    state = (params, optimizer.init(params), jax.random.key(0))
    return floor.step(optimizer), state, batch()


def flops(step: Callable, *arguments: object) -> float:
    """XLA's count for one compiled step."""
    return jax.jit(step).lower(*arguments).compile().cost_analysis()["flops"]


def timer(step: Callable, state: object, data: object, steps: int) -> Callable:
    """A function that runs `steps` steps under `lax.scan` and returns seconds a step."""

    @jax.jit
    def many(state):
        return lax.scan(lambda s, _: step(s, data), state, length=steps)

    jax.block_until_ready(many(state))

    def once() -> float:
        started = time.perf_counter()
        jax.block_until_ready(many(state))
        return (time.perf_counter() - started) / steps

    return once


def measure(rounds: int, steps: int) -> dict:
    """Ratios first, then what they are made of."""
    ours, theirs = library_step(), floor_step()
    clocks = [timer(*ours, steps), timer(*theirs, steps)]
    seconds = [
        min(times) for times in zip(*([c() for c in clocks] for _ in range(rounds)))
    ]
    counts = [flops(*ours), flops(*theirs)]
    return {
        "flops_ratio": counts[0] / counts[1],
        "time_ratio": seconds[0] / seconds[1],
        "gflop_a_step": counts[0] / 1e9,
        "gflop_a_step_hand_written": counts[1] / 1e9,
        "ms_a_step": 1e3 * seconds[0],
        "ms_a_step_hand_written": 1e3 * seconds[1],
        "device": jax.devices()[0].device_kind,
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15, help="alternating rounds")
    parser.add_argument("--steps", type=int, default=20, help="steps a round")
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    options = parser.parse_args()
    result = measure(options.rounds, options.steps)
    for name, value in result.items():
        print(f"{name:28}{value if isinstance(value, str) else f'{value:10.3f}'}")
    options.out.mkdir(exist_ok=True)
    (options.out / "step_cost.json").write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
