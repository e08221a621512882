"""How far is each guide from the exact posterior? A linear Gaussian model tells.

The model is held at the truth, only the guide is trained, with the masked bound. Reported
is KL(q(z | x_S) ‖ p(z | x_S)) in nats, the mean over all non-empty subsets and over new
rows, estimated by Monte Carlo from exact densities.
"""

import argparse
import itertools
import json
import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import numpyro
import numpyro.distributions as dist
import optax
import scipy.optimize
from jax.flatten_util import ravel_pytree
from numpyro.infer import SVI
from rich.console import Console
from rich.table import Table

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
from consilience.models import LinearGaussian, observe

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
    dense = shared_truth(rng_key).loadings
    loadings = {}
    for index, (name, W) in enumerate(dense.items()):
        own = jnp.zeros((FEATURES, len(NAMES) * private))
        columns = slice(private * index, private * (index + 1))
        own = own.at[:, columns].set(W[:, shared : shared + private])
        loadings[name] = jnp.concatenate([W[:, :shared], own], -1)
    return LinearGaussian(loadings, {n: jnp.zeros(FEATURES) for n in NAMES}, SCALE)


def private_program(
    truth: LinearGaussian, shared: int = 2, private: int = 2
) -> Callable:
    """The same model with sites "z" and "w"."""

    def model(data, subset=None):
        shape = (len(data.names), private)
        with data.plate():
            z = numpyro.sample("z", dist.Normal(jnp.zeros(shared), 1.0).to_event(1))
            w = numpyro.sample("w", dist.Normal(jnp.zeros(shape), 1.0).to_event(2))
            latent = jnp.concatenate([z, w.reshape(len(w), -1)], -1)
            for name in data.names:
                mean = latent @ truth.loadings[name].T
                observe(data, name, dist.Normal(mean, truth.scale), subset)

    return model


def subsets() -> np.ndarray:
    """All 31 non-empty subsets `[31, 5]`."""
    return np.array(list(itertools.product([False, True], repeat=len(NAMES)))[1:])


def precision(truth: LinearGaussian, members: np.ndarray) -> np.ndarray:
    """Λ = I + W_Sᵀ W_S / σ² of the exact posterior."""
    W = [
        np.asarray(truth.loadings[n], float)
        for n, m in zip(NAMES, members, strict=True)
        if m
    ]
    W = np.concatenate(W)
    return np.eye(W.shape[1]) + W.T @ W / SCALE**2


def independent_floor(matrix: np.ndarray) -> float:
    """KL of the best Normal with independent dimensions: ½ (Σ log Λ_ii − log det Λ)."""
    return 0.5 * (np.log(np.diag(matrix)).sum() - np.linalg.slogdet(matrix)[1])


def shared_floor(truth: LinearGaussian) -> float:
    """Mean over subsets."""
    return float(np.mean([independent_floor(precision(truth, s)) for s in subsets()]))


def laplace_floor(truth: LinearGaussian) -> float:
    """Of independent Laplaces: scale_i² = 1 / (2 Λ_ii), and ½ (log π − 1) more each."""
    return shared_floor(truth) + 0.5 * truth.latent_dim * (math.log(math.pi) - 1)


def private_floor(truth: LinearGaussian, shared: int = 2) -> float:
    """Of q(z | x_S) Π q(w_s | z, x_S), each with independent dimensions."""

    def floor(members):
        joint = precision(truth, members)
        of_w = joint[shared:, shared:]
        of_z = np.linalg.inv(np.linalg.inv(joint)[:shared, :shared])
        return independent_floor(of_z) + independent_floor(of_w)

    return float(np.mean([floor(s) for s in subsets()]))


def product_floor(truth: LinearGaussian, shared: int, prior: float = 1.0) -> float:
    """Of products of Normal experts for z and independent Normals q(w_s | x_s), by L-BFGS.

    Experts are η_s = A_s x_s with a constant Λ_s, and w_s has mean C_s x_s: in a linear
    Gaussian model nothing better depends on x_s otherwise. The expected KL of each subset
    is a quadratic form in A and C, exact.
    """
    private = (truth.latent_dim - shared) // len(NAMES)
    problems = [_problem(truth, members, shared, private) for members in subsets()]
    sizes = {"A": (5, shared, FEATURES), "C": (5, private, FEATURES)}
    sizes |= {"precision": (5, shared), "scale": (5, private)}
    start, unravel = ravel_pytree({n: jnp.full(s, 0.01) for n, s in sizes.items()})

    @jax.jit
    @jax.value_and_grad
    def mean_kl(flat):
        return jnp.stack([_kl_of(unravel(flat), prior, *p) for p in problems]).mean()

    result = scipy.optimize.minimize(
        lambda x: [np.asarray(v, float) for v in mean_kl(jnp.asarray(x))],
        np.asarray(start),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": 3000, "maxfun": 5000},
    )
    return float(result.fun)


class _Problem(NamedTuple):
    inside: np.ndarray  # indices of S
    matrix: np.ndarray  # precision of (z, w_S) given x_S
    gain: np.ndarray  # its mean as a map of x_S
    covariance: np.ndarray  # of x_S


def _problem(truth, members, shared: int, private: int) -> _Problem:
    inside = np.flatnonzero(members)
    own = [shared + private * i + np.arange(private) for i in inside]
    columns = np.concatenate([np.arange(shared), *own]).astype(int)
    W = np.concatenate([np.asarray(truth.loadings[NAMES[i]], float) for i in inside])
    W = W[:, columns]
    matrix = np.eye(len(columns)) + W.T @ W / SCALE**2
    gain = np.linalg.solve(matrix, W.T / SCALE**2)
    return _Problem(inside, matrix, gain, W @ W.T + SCALE**2 * np.eye(len(W)))


def _kl_of(params: dict, prior: float, inside, matrix, gain, covariance):
    """E KL(q ‖ exact) over x_S ~ N(0, covariance)."""
    of_z = prior + jnp.exp(params["precision"][inside]).sum(0)
    map_z = jnp.concatenate(list(params["A"][inside]), -1) / of_z[:, None]
    map_w = jax.scipy.linalg.block_diag(*params["C"][inside])
    scale_w = jnp.exp(params["scale"][inside]).ravel()
    variance = jnp.concatenate([1 / of_z, scale_w**2])
    error = jnp.concatenate([map_z, map_w[: len(scale_w)]]) - gain
    return 0.5 * (
        (jnp.diag(matrix) * variance).sum()
        - len(variance)
        - jnp.log(variance).sum()
        - jnp.linalg.slogdet(matrix)[1]
        + jnp.trace(matrix @ error @ covariance @ error.T)
    )


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
    program = private_program(private)
    floors = {"product_of_experts": product_floor(private, 2)}
    for name, make in EQUIVARIANT_AGGREGATIONS.items():
        floor = floors.get(name, private_floor(private))
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
        jax.jit(lambda s: jax.lax.map(of_subset, s))(jnp.array(subsets())).mean()
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
    console, records = Console(), []
    key_truth, key_train, key_test = jax.random.split(jax.random.key(0), 3)
    for case in cases(key_truth):
        if options.only and not any(part in case.name for part in options.only):
            continue
        params = train(key_train, case, options.steps)
        kl = excess(key_test, case, params)
        records.append({"guide": case.name, "kl": kl, "floor": case.floor})
        console.print(records[-1])
        options.out.write_text(json.dumps(records, indent=2))
    console.print(table(records))


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
