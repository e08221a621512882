"""Memory and time of importance-sampled log-likelihoods.

The floor: XLA's FLOPs of the decoder and densities of one draw of every row, times K, at
the rate that a large matrix product reaches in the same run.
"""

import argparse
import json
import resource
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs
from consilience.inference.draws import weigher

MODALITIES, WIDTH = 3, 10


def programs(rows: int, latent_dim: int) -> tuple:
    """Linear decoders and a sum pooling guide, as they start, and rows."""
    generator = np.random.default_rng(0)
    values = {f"m{i}": generator.normal(size=(rows, WIDTH)) for i in range(MODALITIES)}
    data = cs.MultimodalData.from_arrays(values)
    prior = cs.standard_normal(latent_dim)
    model = cs.multimodal_model(prior, cs.NormalLikelihood(1.0), cs.LinearDecoder)
    guide = cs.amortized_guide(latent_dim)
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    params = svi.get_params(svi.init(jax.random.key(0), data))
    return model, guide, params, data


def flops_a_draw(model, guide, params, data) -> float:
    """Of one draw of every row, features given."""

    def count(draws: int) -> float:
        def run(keys, params, data):
            fixed = (model, guide, params, data, data.present)
            weigh = weigher(jax.random.key(0), *fixed)
            return jax.vmap(weigh)(keys).log_weight

        keys = jax.random.split(jax.random.key(0), draws)
        return jax.jit(run).lower(keys, params, data).compile().cost_analysis()["flops"]

    return (count(8) - count(4)) / 4  # without the encoders, which run once


def matrix_product_rate(size: int = 2048) -> float:
    """FLOPs a second of a large product, best of five."""
    x = jnp.ones((size, size))
    product = jax.jit(lambda x: x @ x)
    jax.block_until_ready(product(x))
    times = []
    for _ in range(5):
        started = time.perf_counter()
        jax.block_until_ready(product(x))
        times.append(time.perf_counter() - started)
    return 2 * size**3 / min(times)


def resident() -> float:
    """Largest resident memory of this process so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6


def measure(samples: int, rows: int, latent_dim: int) -> dict:
    """Peak memory, and time against the floor."""
    parts = programs(rows, latent_dim)
    rate, flops = matrix_product_rate(), flops_a_draw(*parts)
    before = resident()
    cs.log_likelihood(jax.random.key(1), *parts, num_samples=200)  # compiles the block
    started = time.perf_counter()
    found = cs.log_likelihood(jax.random.key(1), *parts, num_samples=samples)
    jax.block_until_ready(found)
    seconds = time.perf_counter() - started
    return {
        "peak_gb": resident(),
        "gb_before": before,
        "seconds_over_floor": seconds / (samples * flops / rate),
        "seconds": seconds,
        "floor_seconds": samples * flops / rate,
        "million_draws_a_second": samples * rows / seconds / 1e6,
        "gflop_a_second_of_matrix_product": rate / 1e9,
    }


def main() -> None:
    """Print the table and write it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--samples", type=int, default=100_000, help="K")
    parser.add_argument("--rows", type=int, default=1000, help="N")
    parser.add_argument("--latent-dim", type=int, default=10, help="D")
    parser.add_argument("--out", type=Path, default=Path("bench"))
    options = parser.parse_args()
    result = measure(options.samples, options.rows, options.latent_dim)
    for name, value in result.items():
        print(f"{name:34}{value:12.3f}")
    options.out.mkdir(exist_ok=True)
    (options.out / "likelihood_cost.json").write_text(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
