"""Standard, mixture and VampPrior on digits: test log-likelihood and clusters.

scikit-learn's 8 × 8 digits as four quadrants; each seed has its own split, initial values
and noise, the same for all priors.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import jax
import numpy as np
import optax
from numpyro.infer import SVI
from rich.table import Table

import consilience.guides as guides
import consilience.models as models
from consilience.datasets import MultimodalData, quadrants_and_word
from consilience.datasets.digits import QUADRANTS
from consilience.datasets.writing import write_text
from consilience.evaluation import clustering_scores
from consilience.experiments.console import console as make_console
from consilience.experiments.options import whole_number
from consilience.experiments.stops import train_with_stops
from consilience.inference import MaskedELBO, log_likelihood, posterior

LATENT, WIDTH, COMPONENTS, PSEUDO_INPUTS = 6, 128, 10, 100


def digits() -> tuple[MultimodalData, np.ndarray]:
    """Quadrants without the word, and the labels."""
    whole = quadrants_and_word()
    words = np.asarray(whole.values["word"]).reshape(whole.size, -1)
    labels = np.unique(words, axis=0, return_inverse=True)[1]
    values = {name: np.asarray(whole.values[name]) for name in QUADRANTS}
    return MultimodalData.from_arrays(values), labels


def guide_of() -> Callable:
    """One guide for all priors."""
    encoder = partial(guides.MLPEncoder, hidden=(WIDTH,))
    pooling = partial(guides.SumPooling, width=WIDTH, hidden=(WIDTH,))
    return guides.amortized_guide(LATENT, encoder, pooling, WIDTH)


def priors(
    guide: Callable, train: MultimodalData, means: np.ndarray
) -> dict[str, models.Prior]:
    """By name; what a prior starts from are training rows, or their posterior means."""
    rows = train.take(np.arange(PSEUDO_INPUTS))
    return {
        "standard": models.standard_normal(LATENT),
        "mixture": models.gaussian_mixture(LATENT, COMPONENTS, start=means),
        "VampPrior": models.vamp_prior(guide, rows),
    }


def measure(seeds: int, steps: int) -> Iterator[dict]:
    """One record for each seed and prior.

    All go on from one third of the steps under the standard prior.
    """
    data, labels = digits()
    for seed, keys in enumerate(jax.random.split(jax.random.key(0), (seeds, 5))):
        order = np.asarray(jax.random.permutation(keys[0], data.size))
        cut = int(0.8 * data.size)
        train, test = data.take(order[:cut]), data.take(order[cut:])
        guide, first = guide_of(), models.standard_normal(LATENT)
        warm = trained(keys[4], first, guide, train, steps // 3)[1]
        means = posterior(keys[4], guide, warm, train, num_samples=50)["z"].mean(0)
        for name, prior in priors(guide, train, means).items():
            rest = steps - steps // 3
            model, params = trained(keys[1], prior, guide, train, rest, warm)
            value = log_likelihood(keys[2], model, guide, params, test).value
            run = {"seed": seed, "prior": name, "log_p": float(value.mean())}
            draws = posterior(keys[3], guide, params, data, num_samples=50)["z"]
            yield run | clusters(prior, params, draws, data, labels)


def trained(rng_key, prior, guide, train, steps: int, start=None) -> tuple:
    """Model and parameters."""
    decoder = partial(models.MLPDecoder, hidden=(WIDTH,))
    model = models.multimodal_model(prior, models.NormalLikelihood(0.2), decoder)
    rate = optax.cosine_decay_schedule(2e-3, steps)
    svi = SVI(model, guide, optax.adam(rate), MaskedELBO())
    settings = {"stops": [steps], "batch_size": 128, "start": start}
    return model, next(train_with_stops(rng_key, svi, train, **settings))[1]


def clusters(prior, params, draws, data, labels) -> dict[str, float]:
    """Adjusted Rand indices of p(c | z) under a mixture of ten, and of k-means."""
    from sklearn.cluster import KMeans

    def k_means(points):
        found = KMeans(10, n_init=10, random_state=0).fit_predict(points)
        return clustering_scores(labels, found).adjusted_rand

    pixels = np.concatenate([np.asarray(v) for v in data.values.values()], -1)
    found = {
        "k-means on pixels": k_means(pixels),
        "k-means on latent means": k_means(np.asarray(draws.mean(0))),
    }
    if "prior.logits" in params:
        share = models.responsibilities(prior, params, draws).mean(0)
        scores = clustering_scores(labels, share.argmax(-1))
        found["p(c | z)"] = scores.adjusted_rand
    return found


def tables(records: list[dict]) -> Iterator[Table]:
    """Means over seeds with their standard errors."""
    columns = ("log_p", "k-means on pixels", "k-means on latent means", "p(c | z)")
    shown = Table(title="Digits: test log p, nats a row; adjusted Rand indices")
    for column in ("prior", *columns):
        shown.add_column(column.replace("log_p", "log p"))
    for prior in dict.fromkeys(r["prior"] for r in records):
        mine = [r for r in records if r["prior"] == prior]
        cells = []
        for column in columns:
            values = np.array([r[column] for r in mine if column in r])
            error = values.std(ddof=1) / len(values) ** 0.5 if len(values) else 0.0
            cells.append(f"{values.mean():.3f} ± {error:.3f}" if len(values) else "–")
        shown.add_row(prior, *cells)
    yield shown


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--out", type=Path, default=Path("priors.json"))
    parser.add_argument("--seeds", type=whole_number(2), default=5)
    parser.add_argument("--steps", type=whole_number(1), default=6000)


def run(options: argparse.Namespace) -> None:
    """Train all, print the table, write all figures as JSON."""
    console, records = make_console(), []
    for record in measure(options.seeds, options.steps):
        records.append(record)
        console.print(record)
        write_text(options.out, json.dumps(records, indent=2))
    for table in tables(records):
        console.print(table)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
