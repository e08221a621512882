"""Compare aggregations by test log-likelihood after 300, 3000 and 30 000 steps.

Real data: scikit-learn's digits as five modalities, and, where a file of three views is
given, breast cancers of The Cancer Genome Atlas. Each seed has its own split, missing
modalities, initial values and noise, the same for all aggregations.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from numpyro.infer import SVI
from rich.progress import track
from rich.table import Table

import consilience.guides as guides
import consilience.models as models
from consilience.datasets import (
    MultimodalData,
    missing_completely_at_random,
    quadrants_and_word,
)
from consilience.datasets.digits import QUADRANTS
from consilience.datasets.writing import write_text
from consilience.experiments.console import console as make_console
from consilience.experiments.linear_models import exact_log_density
from consilience.experiments.options import one_of, whole_number
from consilience.experiments.stops import train_with_stops
from consilience.guides import AGGREGATIONS
from consilience.inference import MaskedELBO, log_likelihood

HELD_OUT_PATIENTS, WIDTH = 40, 64


class Task(NamedTuple):
    """One data set with a model of it.

    Attributes:
        latent_dim: D.
        model: p(x, z).
        split: training and complete test rows from a key.
        log_density: mean log p(x_S) of test rows: key, model, guide, params, rows, names.
    """

    latent_dim: int
    model: Callable
    split: Callable
    log_density: Callable


def digits() -> Task:
    """Four quadrants and the word; 30 % of modalities hidden in training."""
    pixels = models.NormalLikelihood(0.2)
    likelihoods = dict.fromkeys(QUADRANTS, pixels)
    likelihoods["word"] = models.OneHotLikelihood()
    prior = models.standard_normal(12)
    decoder = partial(models.MLPDecoder, hidden=(WIDTH,))
    data = quadrants_and_word()

    def split(rng_key):
        key_split, key_missing = jax.random.split(rng_key)
        train, test = data.split(key_split, 0.8)
        keep = missing_completely_at_random(key_missing, train.present, 0.3)
        return train.restrict(keep), test

    model = models.multimodal_model(prior, likelihoods, decoder)
    return Task(12, model, split, sampled_log_density)


def tcga(path: Path) -> Task:
    """mRNA, miRNA and proteins of 220 tumours, the proteins of a third missing."""
    with np.load(path, allow_pickle=False) as file:
        names = [str(name) for name in file["views"]]
        data = MultimodalData.from_arrays({n: file[f"x_{n}"] for n in names})

    def split(rng_key):
        complete = np.flatnonzero(data.present.all(-1))
        order = np.asarray(jax.random.permutation(rng_key, complete))
        held_out = order[:HELD_OUT_PATIENTS]
        rest = np.setdiff1d(np.arange(data.size), held_out)
        train = data.take(rest).standardize()
        return train, data.take(held_out).standardize(like=train)

    likelihood = models.LearnedNormalLikelihood(1.0, 0.05)
    prior = models.standard_normal(5)
    model = models.multimodal_model(prior, likelihood, models.LinearDecoder)
    return Task(5, model, split, linear_log_density)


def sampled_log_density(rng_key, model, guide, params, data, names) -> float:
    """By 1000 importance samples a row."""
    subset = data.subset_of(*names)
    estimate = log_likelihood(rng_key, model, guide, params, data, subset)
    return float(estimate.value.mean())


def linear_log_density(rng_key, model, guide, params, data, names) -> float:
    """Exact, of linear decoders."""
    return float(exact_log_density(params, data, names).mean())


def guide_of(aggregation: str, latent_dim: int) -> Callable:
    """Every aggregation on encoders of one size."""
    make = AGGREGATIONS[aggregation]
    small = {"width": WIDTH, "hidden": (WIDTH,)}
    if "corrected" in aggregation:
        made = make if isinstance(make, partial) else partial(make)
        correction = made.keywords.get("correction", guides.SumPooling)
        make = partial(made, correction=partial(correction, **small))
    elif "pooling" in aggregation or "attention" in aggregation:
        make = partial(make, **small)
    encoder = partial(guides.MLPEncoder, hidden=(WIDTH,))
    return guides.amortized_guide(latent_dim, encoder, make, WIDTH)


def measure(
    task: Task, aggregation: str, seeds: int, stops: list[int]
) -> Iterator[dict]:
    """One record for each seed, number of steps and part of the data."""
    guide = guide_of(aggregation, task.latent_dim)
    svi = SVI(task.model, guide, optax.adam(1e-3), MaskedELBO())
    for seed, keys in enumerate(jax.random.split(jax.random.key(0), (seeds, 3))):
        train, test = task.split(keys[0])
        trained = train_with_stops(keys[1], svi, train, stops=stops, batch_size=64)
        for steps, params in trained:
            log_p = partial(task.log_density, keys[2], task.model, guide, params, test)
            run = {"aggregation": aggregation, "steps": steps, "seed": seed}
            for part, value in parts(log_p, test.names).items():
                yield run | {"part": part, "log_p": value}


def parts(log_p: Callable, names: tuple[str, ...]) -> dict[str, float]:
    """log p of all modalities, and of each given the others."""
    joint = log_p(names)
    found = {"all": joint}
    for name in names:
        rest = [other for other in names if other != name]
        found[f"{name} given the rest"] = joint - log_p(rest)
    return found


def tables(title: str, records: list[dict]) -> Iterator[Table]:
    """Means over seeds, and the difference between the last and the best other."""
    names = list(dict.fromkeys(r["aggregation"] for r in records))
    found: dict[int, dict[str, dict[str, list]]] = {}
    for r in records:
        of_part = found.setdefault(r["steps"], {}).setdefault(r["part"], {})
        of_part.setdefault(r["aggregation"], []).append(r["log_p"])
    for steps, by_part in found.items():
        shown = Table(title=f"{title}, {steps} steps: test log p, nats a row")
        for column in ("", *names, "last − best other (± s.e.)"):
            shown.add_column(column.replace("_", " "))
        for part, by_name in by_part.items():
            values = {name: np.array(by_name[name]) for name in names}
            *others, last = values.values()
            best = max(others, key=np.mean)
            difference = last - best
            error = difference.std(ddof=1) / len(difference) ** 0.5
            cells = [
                f"{v.mean():.2f} ± {v.std(ddof=1) / len(v) ** 0.5:.2f}"
                for v in values.values()
            ]
            shown.add_row(part, *cells, f"{difference.mean():+.2f} ± {error:.2f}")
        yield shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("corrected_experts.json"))
    parser.add_argument("--tcga", type=Path, help="tcga_breast_mixomics.npz")
    parser.add_argument("--only", choices=("digits", "tcga"))
    parser.add_argument("--seeds", type=whole_number(2), default=5)
    parser.add_argument(
        "--steps", type=whole_number(1), nargs="+", default=[300, 3000, 30_000]
    )
    parser.add_argument(
        "--aggregations",
        type=one_of(AGGREGATIONS),
        nargs="+",
        default=[
            "product_of_experts",
            "sum_pooling",
            "self_attention",
            "corrected_product",
        ],
        help="the last is compared with the best of the others",
    )


def run(options: argparse.Namespace) -> None:
    """Train, measure, print tables and write all figures as JSON."""
    tasks = {"digits": digits()}
    if options.tcga:
        tasks["tcga"] = tcga(options.tcga)
    if options.only:
        tasks = {options.only: tasks[options.only]}
    console, found = make_console(), {}
    for title, task in tasks.items():
        found[title] = []
        for name in track(options.aggregations, title):
            found[title] += measure(task, name, options.seeds, options.steps)
            write_text(options.out, json.dumps(found))
        for table in tables(title, found[title]):
            console.print(table)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
