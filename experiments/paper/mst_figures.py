"""What is measured of a trained model of MNIST-SVHN-Text, as numbers by name."""

from collections.abc import Callable, Mapping
from itertools import combinations
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from consilience.datasets import Labelled, MultimodalData
from consilience.evaluation import (
    classifier_accuracy,
    coherence,
    joint_coherence,
    latent_classification,
    rates,
    train_classifiers,
)
from consilience.experiments.paper.likelihoods import summarized
from consilience.experiments.paper.mst_data import Rows
from consilience.inference import log_likelihood

RATES = ("full_reconstruction", "full_rate", "cross_reconstruction", "cross_rate")

Classifiers = Mapping[str, Callable]


class Effort(NamedTuple):
    """How much is spent on figures.

    Attributes:
        draws: importance samples of each likelihood.
        few: draws of everything else.
        epochs: of each classifier.
        test_rows: at most.
        alone: measurements of a modality that its classifier sees, at most.
    """

    draws: int
    few: int
    epochs: int
    test_rows: int
    alone: int


def all_subsets(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every one but the empty one, the smaller first."""
    sizes = range(1, len(names) + 1)
    return [each for size in sizes for each in combinations(names, size)]


def in_words(given: tuple[str, ...]) -> str:
    """As in the names of figures."""
    return " + ".join(given)


def classifiers_of(
    rng_key: Key[Array, ""], alone: Mapping[str, Labelled], epochs: int
) -> Classifiers:
    """One for each modality, trained on measurements that need not be paired."""
    keys = jax.random.split(rng_key, len(alone))
    found = {}
    for key, (name, each) in zip(keys, alone.items(), strict=True):
        data = MultimodalData.from_arrays({name: each.values})
        found |= train_classifiers(key, data, each.labels, num_epochs=epochs)
    return found


def measured_figures(
    rng_key: Key[Array, ""],
    programs: tuple[Callable, Callable, dict],
    rows: Rows,
    classifiers: Classifiers,
    effort: Effort,
) -> dict[str, float]:
    """Likelihoods of all subsets, coherence, classes from latents, rates, distortions.

    Args:
        rng_key: random key.
        programs: model, guide, trained parameters.
        rows: of training and test.
        classifiers: by modality.
        effort: draws.

    Returns:
        "llh ...", "llh error ...", "unreliable ..." (share of rows whose k̂ is too large),
        "coherence ... -> ...", "coherence joint", "real ...", "class ...", and the four
        rates with "... error"; nats a row, or shares.
    """
    keys = jax.random.split(rng_key, 4)
    found = _likelihoods(keys[0], programs, rows.test, effort.draws)
    found |= _coherences(keys[1], programs, rows.test, classifiers, effort.few)
    found |= _classes(keys[2], programs, rows, effort.few)
    return found | _rates(keys[3], programs, rows.test, effort.few)


def _likelihoods(rng_key, programs, test, draws: int) -> dict[str, float]:
    # images of many draws at once would not fit into memory
    settings = {"num_samples": draws, "samples_at_once": 20, "chunk_size": 100}
    found = {}
    for i, given in enumerate(all_subsets(test.names)):
        key, subset = jax.random.fold_in(rng_key, i), test.subset_of(*given)
        each = log_likelihood(key, *programs, test, subset, **settings)
        likelihood, words = summarized(each), in_words(given)
        found[f"llh {words}"] = likelihood.mean
        found[f"llh error {words}"] = likelihood.standard_error
        found[f"unreliable {words}"] = likelihood.unreliable
    return found


def _coherences(rng_key, programs, test, classifiers, draws: int) -> dict[str, float]:
    """From one and two modalities, and of the prior; of expectations E[x_t | z]."""
    keys = jax.random.split(rng_key)
    labels = np.asarray(test.covariates["label"])
    subsets = [given for given in all_subsets(test.names) if len(given) <= 2]
    settings = {"num_samples": draws, "mean": True}
    model, guide, params = programs
    table = coherence(
        keys[0], model, guide, params, test, labels, classifiers, subsets, **settings
    )
    found = {
        f"coherence {in_words(given)} -> {target}": float(table.value[i, j])
        for i, given in enumerate(table.given)
        for j, target in enumerate(table.targets)
    }
    joint = joint_coherence(keys[1], model, params, test, classifiers, **settings)
    found["coherence joint"] = joint.value
    real = classifier_accuracy(classifiers, test, labels)
    return found | {f"real {name}": mean.value for name, mean in real.items()}


def _classes(rng_key, programs, rows: Rows, draws: int) -> dict[str, float]:
    """Linear classifiers of draws of the shared latent."""
    parts = [(x, np.asarray(x.covariates["label"])) for x in (rows.train, rows.test)]
    subsets = all_subsets(rows.test.names)
    _, guide, params = programs
    table = latent_classification(
        rng_key, guide, params, *parts, subsets, num_samples=min(draws, 2)
    )
    pairs = zip(table.given, table.value, strict=True)
    return {f"class {in_words(given)}": float(value) for given, value in pairs}


def _rates(rng_key, programs, test, draws: int) -> dict[str, float]:
    table = rates(rng_key, *programs, test, num_samples=draws)
    found = {}
    for name in RATES:
        mean = getattr(table, name)
        mean = mean["total"] if isinstance(mean, dict) else mean
        found[name], found[f"{name} error"] = mean.value, mean.standard_error
    return found
