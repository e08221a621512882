"""How far is each guide from the exact posterior? A linear Gaussian model tells.

The model is held at the truth, only the guide is trained, with the masked bound. Reported
is KL(q(z | x_S) ‖ p(z | x_S)) in nats, the mean over all non-empty subsets and over new
rows, estimated by Monte Carlo from exact densities.
"""

import argparse
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from numpyro.infer import SVI
from rich.table import Table

from consilience.datasets.writing import write_text
from consilience.experiments.console import console as make_console
from consilience.experiments.families import (
    laplace_floor,
    private_floor,
    product_floor,
    shared_floor,
    subsets,
)
from consilience.experiments.linear_models import private_program, split_loadings
from consilience.experiments.options import whole_number
from consilience.experiments.stops import train_with_stops
from consilience.guides import (
    AGGREGATIONS,
    EQUIVARIANT_AGGREGATIONS,
    CholeskyHead,
    LaplaceHead,
    MixtureHead,
    MixtureOfExperts,
    MLPEncoder,
    SelfAttention,
    SumPooling,
    amortized_guide,
    shared_private_guide,
)
from consilience.inference import STL, MaskedELBO
from consilience.inference.draws import sampler
from consilience.models import LinearGaussian

NAMES = tuple("abcde")
FEATURES, SCALE, WIDTH = 10, 1.0, 128


class Case(NamedTuple):
    """A guide to be compared.

    Attributes:
        name: what the table says.
        guide: q(z | x_S).
        model: the true model as a program.
        truth: the same as an oracle; its latent is z, or (z, w) in one vector.
        floor: KL of the family's best member, in nats, or None where it is not known.
    """

    name: str
    guide: Callable
    model: Callable
    truth: LinearGaussian
    floor: float | None


def shared_truth(rng_key) -> LinearGaussian:
    """M = 5 modalities of 10 features, D = 5, W ~ N(0, 1/5), σ = 1."""
    keys = jax.random.split(rng_key, len(NAMES))
    loadings = {
        name: jax.random.normal(key, (FEATURES, 5)) / math.sqrt(5)
        for name, key in zip(NAMES, keys, strict=True)
    }
    return LinearGaussian(loadings, {n: jnp.zeros(FEATURES) for n in NAMES}, SCALE)


def private_truth(rng_key, shared: int = 2, private: int = 2) -> LinearGaussian:
    """As many features, 2 shared and 2 private dimensions; the latent is (z, w_a .. w_e)."""
    dense = shared_truth(rng_key)
    loadings = {n: W[:, : shared + private] for n, W in dense.loadings.items()}
    return LinearGaussian(split_loadings(loadings, shared), dense.biases, dense.scale)


def cases(rng_key) -> list[Case]:
    """Every aggregation and head."""
    truth, private = shared_truth(rng_key), private_truth(rng_key)
    encoder = partial(MLPEncoder, hidden=())
    small = {"width": WIDTH, "hidden": (WIDTH,)}
    normal, laplace = shared_floor(truth), laplace_floor(truth)
    found = []

    def add(name, make, floor):
        guide = amortized_guide(5, encoder, make, 64)
        found.append(Case(name, guide, truth, truth, floor))

    floors = {
        "product_of_experts": product_floor(truth, 5),
        "product_without_prior": product_floor(truth, 5, prior=0.0),
    }
    for name, make in AGGREGATIONS.items():
        unknown = "mixture" in name or "tempered" in name
        floor = None if unknown else floors.get(name, normal)
        add(name.replace("_", " "), make, floor)
    add(
        "mixture of Laplace experts",
        partial(MixtureOfExperts, head=LaplaceHead()),
        None,
    )
    for name, make in (("sum pooling", SumPooling), ("self attention", SelfAttention)):
        make = partial(make, **small)
        add(f"{name}, Laplace", partial(make, head=LaplaceHead()), laplace)
        add(f"{name}, full covariance", partial(make, head=CholeskyHead()), 0.0)
        head = MixtureHead(component=LaplaceHead())
        add(f"{name}, Laplace mixture", partial(make, head=head), None)
    add("self attention, post-norm", partial(SelfAttention, pre_norm=False), normal)
    add("self attention, set norm", partial(SelfAttention, norm="set"), normal)
    program = private_program(private, 2)
    floors = {"product_of_experts": product_floor(private, 2)}
    for name, make in EQUIVARIANT_AGGREGATIONS.items():
        floor = floors.get(name, private_floor(private, 2))
        guide = shared_private_guide(2, 2, encoder, make, 64)
        own = f"equivariant {name.replace('_', ' ')}"
        found.append(Case(own, guide, program, private, floor))
    return found


def excess(
    rng_key, case: Case, params: dict, rows: int = 500, draws: int = 50
) -> float:
    """KL to the exact posterior, mean over subsets and new rows."""
    data, _ = case.truth.simulate(rng_key, rows)

    def of_subset(members):
        subset = jnp.broadcast_to(members, data.present.shape)
        sample = sampler(rng_key, case.guide, params, data, subset)
        exact = case.truth.posterior(data, subset)

        def one(key):
            draw = sample(key)
            latent = jnp.concatenate(
                [v.reshape(rows, -1) for v in draw.of_rows.values()], -1
            )
            return draw.log_q - exact.log_prob(latent)

        return jax.vmap(one)(jax.random.split(rng_key, draws)).mean()

    return float(
        jax.jit(lambda s: jax.lax.map(of_subset, s))(
            jnp.array(subsets(len(NAMES)))
        ).mean()
    )


def train(rng_key, case: Case, steps: int, rows: int = 50_000) -> dict:
    """Parameters of the guide."""
    key_data, key_train = jax.random.split(rng_key)
    data, _ = case.truth.simulate(key_data, rows)
    rate = optax.cosine_decay_schedule(2e-3, steps)
    svi = SVI(case.model, case.guide, optax.adam(rate), MaskedELBO(estimator=STL()))
    trained = train_with_stops(key_train, svi, data, stops=[steps], batch_size=256)
    return next(trained)[1]


def table(records: list[dict]) -> Table:
    """KL beside the floor of the family."""
    shown = Table(title="KL(q(z | x_S) ‖ p(z | x_S)), nats, mean over 31 subsets")
    for column in ("guide", "KL", "floor of its family", "above it"):
        shown.add_column(column, justify="left" if column == "guide" else "right")
    for record in records:
        kl, floor = record["kl"], record["floor"]
        rest = ("–", "–") if floor is None else (f"{floor:.3f}", f"{kl - floor:.3f}")
        shown.add_row(record["guide"], f"{kl:.3f}", *rest)
    return shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("posterior_quality.json"))
    parser.add_argument("--steps", type=whole_number(1), default=20_000)
    parser.add_argument("--only", nargs="+", help="guides whose name has this in it")


def run(options: argparse.Namespace) -> None:
    """Train every guide, print the table, write all figures as JSON."""
    console, records = make_console(), []
    key_truth, key_train, key_test = jax.random.split(jax.random.key(0), 3)
    for case in cases(key_truth):
        if options.only and not any(part in case.name for part in options.only):
            continue
        params = train(key_train, case, options.steps)
        kl = excess(key_test, case, params)
        records.append({"guide": case.name, "kl": kl, "floor": case.floor})
        console.print(records[-1])
        write_text(options.out, json.dumps(records, indent=2))
    console.print(table(records))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
