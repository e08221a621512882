"""Noise of every estimator's gradient: what picks the defaults.

A linear Gaussian model (3 modalities of 10 features, D = 5) at its truth, a guide before
training and after it; the standard deviation of the guide's whole gradient, √ tr Cov,
over keys at one batch of 256 rows, relative to `Pathwise()`.
"""

import argparse
import json
import math
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.infer import SVI

import consilience as cs

LATENT, FEATURES, ROWS = 5, 10, 256
HEADS = {
    "Normal": cs.NormalHead(),
    "full covariance": cs.CholeskyHead(),
    "mixture of 5": cs.MixtureHead(5),
}
PLAIN = {
    "Pathwise()": cs.Pathwise(),
    "STL()": cs.STL(),
    "AnalyticKL(STL())": cs.AnalyticKL(otherwise=cs.STL()),
    "Pathwise(stratified=False)": cs.Pathwise(stratified=False),
    "STL(stratified=False)": cs.STL(stratified=False),
}
WEIGHTED = {
    "Pathwise()": cs.Pathwise(),
    "DReG()": cs.DReG(),
    "Pathwise(stratified=False)": cs.Pathwise(stratified=False),
    "DReG(stratified=False)": cs.DReG(stratified=False),
}


def truth(rng_key) -> cs.LinearGaussian:
    """The model."""
    keys = jax.random.split(rng_key, 3)
    loadings = {
        n: jax.random.normal(k, (FEATURES, LATENT)) / math.sqrt(LATENT)
        for n, k in zip("abc", keys, strict=True)
    }
    return cs.LinearGaussian(loadings, {n: jnp.zeros(FEATURES) for n in "abc"}, 1.0)


def noise(bound, model, guide, params, data, num_keys: int) -> float:
    """√ tr Cov of the gradient."""

    def gradient(key):
        return jax.grad(lambda p: bound.loss(key, p, model, guide, data))(params)

    keys = jax.random.split(jax.random.key(1), num_keys)
    found = jax.jit(lambda keys: jax.lax.map(gradient, keys))(keys)
    return math.sqrt(sum(np.var(leaf, 0).sum() for leaf in jax.tree.leaves(found)))


def measure(steps: int, num_keys: int) -> Iterator[dict]:
    """One record for each bound, head, stage and estimator."""
    model = truth(jax.random.key(0))
    data, _ = model.simulate(jax.random.key(2), 20_000)
    batch = data.batch(jnp.arange(ROWS))
    for head_name, head in HEADS.items():
        pooling = partial(cs.SumPooling, width=64, hidden=(64,), head=head)
        encoder = partial(cs.MLPEncoder, hidden=())
        guide = cs.amortized_guide(LATENT, encoder, pooling, 32)
        rate = optax.cosine_decay_schedule(2e-3, steps)
        svi = SVI(model, guide, optax.adam(rate), cs.MaskedELBO())
        first = svi.get_params(svi.init(jax.random.key(3), batch))
        epochs = steps * ROWS // data.size
        fitted = cs.fit(jax.random.key(3), svi, data, num_epochs=epochs, progress=False)
        kinds = (
            ("masked", cs.MaskedELBO, PLAIN),
            (
                "importance-weighted, K = 8",
                partial(cs.ImportanceWeightedELBO, 8),
                WEIGHTED,
            ),
        )
        for bound_name, make, estimators in kinds:
            for stage, params in (("at first", first), ("trained", fitted.params)):
                for name, estimator in estimators.items():
                    if "stratified" in name and head_name != "mixture of 5":
                        continue
                    fixed = (model, guide, params, batch, num_keys)
                    sd = noise(make(estimator=estimator), *fixed)
                    where = {"bound": bound_name, "head": head_name, "stage": stage}
                    yield where | {"estimator": name, "sd": sd}


def main() -> None:
    """Print a line a measurement; write all as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=3000, help="of training")
    parser.add_argument("--keys", type=int, default=200, help="gradients a figure")
    parser.add_argument(
        "--out", type=Path, default=Path("bench"), help="folder to write"
    )
    options = parser.parse_args()
    records = []
    for record in measure(options.steps, options.keys):
        records.append(record)
        print(
            "  ".join(f"{v:.4g}" if k == "sd" else v for k, v in record.items()),
            flush=True,
        )
    options.out.mkdir(exist_ok=True)
    (options.out / "gradient_noise.json").write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
