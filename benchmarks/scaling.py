"""FLOPs and compile time of a training step as the number of modalities grows.

FLOPs are XLA's own count of the compiled step at a fixed batch; the growth exponent is the
slope of log FLOPs over log M.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs

ROWS, WIDTH, LATENT, HIDDEN = 128, 16, 8, 64
AGGREGATIONS = {
    "product_of_experts": cs.ProductOfExperts,
    "sum_pooling": partial(cs.SumPooling, width=HIDDEN, hidden=(HIDDEN,)),
    "self_attention": partial(cs.SelfAttention, width=HIDDEN, hidden=(HIDDEN,)),
}


def measure(aggregation: str, num_modalities: int) -> dict:
    """One compiled step."""
    generator = np.random.default_rng(0)
    names = [f"m{i:02}" for i in range(num_modalities)]
    values = {n: generator.normal(size=(ROWS, WIDTH)) for n in names}
    data = cs.MultimodalData.from_arrays(values)
    model = cs.multimodal_model(
        cs.standard_normal(LATENT),
        cs.NormalLikelihood(1.0),
        partial(cs.MLPDecoder, hidden=(HIDDEN,)),
    )
    encoder = partial(cs.MLPEncoder, hidden=(HIDDEN,))
    guide = cs.amortized_guide(LATENT, encoder, AGGREGATIONS[aggregation], HIDDEN)
    svi = SVI(model, guide, optax.adam(1e-3), cs.MaskedELBO())
    state = jax.jit(svi.init)(jax.random.key(0), data)
    started = time.perf_counter()
    lowered = jax.jit(svi.update).lower(state, data)
    traced = time.perf_counter()
    compiled = lowered.compile()
    return {
        "aggregation": aggregation,
        "modalities": num_modalities,
        "gflop": compiled.cost_analysis()["flops"] / 1e9,
        "trace_s": traced - started,
        "compile_s": time.perf_counter() - traced,
    }


def exponent(records: list[dict], at_least: int, at_most: int) -> float:
    """Slope of log FLOPs over log M by least squares."""
    inside = [r for r in records if at_least <= r["modalities"] <= at_most]
    m, flops = (np.log([r[k] for r in inside]) for k in ("modalities", "gflop"))
    return float(np.polyfit(m, flops, 1)[0])


def main() -> None:
    """Print a line a measurement and the exponents; write all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--modalities", type=int, nargs="+", default=[2, 4, 8, 16, 32, 64]
    )
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    options = parser.parse_args()
    found, exponents = [], {}
    for name in AGGREGATIONS:
        records = [measure(name, m) for m in options.modalities]
        for r in records:
            print(
                f"{name:20}M = {r['modalities']:3}{r['gflop']:10.4f} GFLOP"
                f"{r['trace_s']:8.1f} s to trace{r['compile_s']:8.1f} s to compile",
                flush=True,
            )
        exponents[name] = {
            "2 to 16": exponent(records, 2, 16),
            "2 to 64": exponent(records, 2, 64),
            "32 to 64": exponent(records, 32, 64),
        }
        print(f"{name:20}exponents", exponents[name], flush=True)
        found += records
    options.out.mkdir(exist_ok=True)
    report = {"exponents": exponents, "steps": found}
    (options.out / "scaling.json").write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
