"""FLOPs of a training step of every published method against hand-written JAX."""

import argparse
import json
from functools import partial
from pathlib import Path

import hand_written_presets as floor
import jax
import optax
from numpyro.infer import SVI
from step_cost import as_data, batch, flops

import consilience as cs

SETTINGS = {
    "mmvae": {"num_samples": floor.SAMPLES},
    "mmvae_plus": {"num_samples": floor.SAMPLES},
    "mvtcae": {"estimator": cs.STL()},
}


def library(name: str) -> float:
    """Of `svi.update`."""
    data = as_data(floor)
    hidden = (floor.HIDDEN,)
    networks = cs.Networks(
        partial(cs.MLPEncoder, hidden=hidden),
        partial(cs.MLPDecoder, hidden=hidden),
        floor.FEATURES,
    )
    sizes = (floor.LATENT,)
    if name == "mmvae_plus":
        sizes += (floor.PRIVATE,)
    likelihood = cs.NormalLikelihood(1.0)
    method = cs.PRESETS[name](*sizes, likelihood, networks, **SETTINGS.get(name, {}))
    svi = SVI(method.model, method.guide, optax.adam(1e-3), method.elbo)
    return flops(svi.update, svi.init(jax.random.key(0), data), data)


def hand_written(name: str) -> float:
    """Of loss, gradient and Adam."""
    optimizer = optax.adam(1e-3)
    private = floor.PRIVATE if name == "mmvae_plus" else 0
    params = floor.initial_params(jax.random.key(0), private)

    def step(params, state, key, x, present):
        value, gradient = jax.value_and_grad(floor.LOSSES[name])(
            params, key, x, present
        )
        change, state = optimizer.update(gradient, state)
        return optax.apply_updates(params, change), state, value

    state = optimizer.init(params)
    return flops(step, params, state, jax.random.key(0), *batch(floor))


def measure() -> dict[str, dict[str, float]]:
    """Ratio, ours and theirs in GFLOP."""
    found = {}
    for name in floor.LOSSES:
        ours, theirs = library(name), hand_written(name)
        found[name] = {
            "flops_ratio": ours / theirs,
            "gflop": ours / 1e9,
            "gflop_hand_written": theirs / 1e9,
        }
    return found


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    options = parser.parse_args()
    result = measure()
    for name, row in result.items():
        print(f"{name:12}" + "".join(f"{k} {v:.3f}   " for k, v in row.items()))
    options.out.mkdir(exist_ok=True)
    (options.out / "preset_cost.json").write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
