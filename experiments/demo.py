"""Train on real handwritten digits with missing modalities, in about a minute."""

import argparse
import dataclasses
import json
import time
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
import optax
from numpyro.infer import SVI
from rich.table import Table

from consilience.datasets import (
    MultimodalData,
    missing_completely_at_random,
    quadrants_and_word,
)
from consilience.datasets.digits import QUADRANTS
from consilience.datasets.writing import replacing, write_text
from consilience.evaluation.plot_training import plot_training
from consilience.experiments import coherence, pictures
from consilience.experiments.console import console as make_console
from consilience.experiments.options import (
    a_path,
    non_negative,
    one_of,
    positive,
    probability,
    seed,
    share,
    whole_number,
)
from consilience.guides import AGGREGATIONS, MLPEncoder, amortized_guide
from consilience.inference import (
    BOUNDS,
    ESTIMATORS,
    SUBSETS,
    LogLikelihood,
)
from consilience.inference.pareto import threshold
from consilience.models import (
    MLPDecoder,
    NormalLikelihood,
    OneHotLikelihood,
    gaussian_mixture,
    multimodal_model,
    standard_normal,
)
from consilience.training import Fitted, fit

FILES = (
    "likelihoods.json",
    "coherence.json",
    "completions.png",
    "training.png",
    "posterior.nc",
)
GIVEN = (
    ("word",),
    ("upper_left",),
    ("upper_left", "upper_right"),
    ("upper_left", "lower_left"),
    ("lower_right", "word"),
    QUADRANTS,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of the demo."""
    output = parser.add_argument_group("output")
    output.add_argument(
        "--out", type=a_path, default=Path("demo"), help="folder to write"
    )
    output.add_argument("--overwrite", action="store_true", help="replace its files")
    output.add_argument("--quiet", action="store_true", help="no progress")
    data = parser.add_argument_group("data")
    data.add_argument(
        "--missing", type=probability, default=0.3, help="share of modalities to hide"
    )
    data.add_argument(
        "--test-share", type=share, default=0.2, help="share of rows to hold out"
    )
    model = parser.add_argument_group("model and guide")
    model.add_argument(
        "--latent-dim", type=whole_number(1), default=12, help="width of z"
    )
    model.add_argument(
        "--components",
        type=whole_number(1),
        default=1,
        help="Gaussians in the prior; 1 is the standard normal",
    )
    model.add_argument(
        "--pixel-scale",
        type=positive,
        default=0.2,
        help="standard deviation of a pixel, whose range is 0 to 1",
    )
    model.add_argument(
        "--hidden", type=whole_number(1), default=256, help="width of hidden layers"
    )
    model.add_argument(
        "--features", type=whole_number(1), default=128, help="features a modality"
    )
    model.add_argument(
        "--aggregation",
        type=one_of(AGGREGATIONS),
        default="sum_pooling",
        help=f"one of {', '.join(AGGREGATIONS)}",
    )
    bound = parser.add_argument_group("bound")
    bound.add_argument(
        "--bound", type=one_of(BOUNDS), default="masked", help=f"{', '.join(BOUNDS)}"
    )
    laws = [name for name in SUBSETS if name not in ("fixed", "by_size")]
    estimators = [name for name, make in ESTIMATORS.items() if make().plain]
    bound.add_argument(
        "--subsets",
        type=one_of(dict.fromkeys(laws)),
        default="hierarchical",
        help=f"law of the random subset: {', '.join(laws)}",
    )
    bound.add_argument(
        "--estimator",
        type=one_of(dict.fromkeys(estimators)),
        default="stl",
        help=f"of the rates: {', '.join(estimators)}",
    )
    bound.add_argument(
        "--beta", type=non_negative, default=1.0, help="weight of the rates"
    )
    bound.add_argument(
        "--word-weight",
        type=non_negative,
        default=1.0,
        help="weight of the word's likelihood in training",
    )
    bound.add_argument(
        "--particles", type=whole_number(1), default=1, help="draws a row and step"
    )
    training = parser.add_argument_group("training")
    training.add_argument("--epochs", type=whole_number(1), default=250, help="passes")
    training.add_argument(
        "--batch-size", type=whole_number(1), default=128, help="rows"
    )
    training.add_argument(
        "--learning-rate", type=positive, default=5e-3, help="of Adam, decays to 0"
    )
    training.add_argument("--seed", type=seed, default=0, help="of everything")
    evaluation = parser.add_argument_group("evaluation")
    evaluation.add_argument(
        "--samples",
        type=whole_number(30),
        default=1000,
        help="importance samples a row",
    )
    evaluation.add_argument(
        "--draws", type=whole_number(1), default=200, help="a row, in posterior.nc"
    )


def run(options: argparse.Namespace) -> None:
    """Train the masked bound on 1797 real handwritten digits as five modalities.

    The modalities are four image quadrants and the digit's English word, 30 percent of
    them hidden. Prints test log-likelihoods, given any one modality, with their
    diagnostics, and the coherence of what is generated; writes likelihoods.json,
    coherence.json, completions.png, training.png and posterior.nc (an ArviZ DataTree)
    into the output folder.
    """
    _prepare(options.out, options.overwrite)
    console = make_console()
    keys = jax.random.split(jax.random.key(options.seed), 6)
    train, test = data_sets(keys[0], options)
    console.print(
        f"{train.size} training rows, {1 - float(train.present.mean()):.0%} of their "
        f"modalities hidden; {test.size} test rows, complete."
    )
    started = time.perf_counter()
    fitted = fit(
        keys[1],
        svi(options, steps=options.epochs * -(-train.size // options.batch_size)),
        dataclasses.replace(train, covariates={}),  # labels only judge what is learned
        num_epochs=options.epochs,
        batch_size=options.batch_size,
        validation=test,
        progress=not options.quiet,
    )
    console.print(f"trained in {time.perf_counter() - started:.0f} s")
    results = likelihoods(keys[2], fitted, test, options.samples)
    console.print(table(results, options.samples))
    summaries = [result.summary() for result in results]
    write_text(options.out / "likelihoods.json", json.dumps(summaries, indent=2))
    shared = coherence.measure(keys[5], fitted, train, test)
    console.print(coherence.table(shared), coherence.averages(shared), sep="\n")
    write_text(options.out / "coherence.json", json.dumps(shared.summary(), indent=2))
    _draw(keys[3], fitted, test, options.out)
    tree = fitted.to_datatree(
        keys[4], test, num_samples=options.draws, num_predictive=20
    )
    with replacing(options.out / "posterior.nc") as partial:
        tree.to_netcdf(partial)
    for name in FILES:
        console.print(f"wrote {options.out / name}")


def data_sets(rng_key, options) -> tuple[MultimodalData, MultimodalData]:
    """Training rows with modalities hidden, complete test rows."""
    key_split, key_missing = jax.random.split(rng_key)
    train, test = quadrants_and_word().split(key_split, 1 - options.test_share)
    keep = missing_completely_at_random(key_missing, train.present, options.missing)
    return train.restrict(keep), test


def svi(options: argparse.Namespace, steps: int) -> SVI:
    """Model, guide, optimiser and bound as the options say."""
    hidden = (options.hidden,)
    pixels = NormalLikelihood(options.pixel_scale)
    likelihoods = {**dict.fromkeys(QUADRANTS, pixels), "word": OneHotLikelihood()}
    prior = standard_normal(options.latent_dim)
    if options.components > 1:
        prior = gaussian_mixture(options.latent_dim, options.components)
    model = multimodal_model(prior, likelihoods, partial(MLPDecoder, hidden=hidden))
    guide = amortized_guide(
        options.latent_dim,
        partial(MLPEncoder, hidden=hidden),
        AGGREGATIONS[options.aggregation],
        options.features,
    )
    elbo = BOUNDS[options.bound](
        subsets=SUBSETS[options.subsets](),
        beta=options.beta,
        weights={"word": options.word_weight},
        num_particles=options.particles,
        estimator=ESTIMATORS[options.estimator](),
    )
    rate = optax.cosine_decay_schedule(options.learning_rate, steps)
    return SVI(model, guide, optax.adam(rate), elbo)


class Result(NamedTuple):
    """Log-likelihoods of the test rows given one subset S.

    Attributes:
        given: S in words.
        of_given: log p(x_S) with its diagnostics.
        of_all: the same of all modalities.
        seconds: that the estimate took.
    """

    given: str
    of_given: LogLikelihood
    of_all: LogLikelihood
    seconds: float

    def summary(self) -> dict:
        """Means over rows, for JSON and the table."""
        reliable = self.of_given.reliable & self.of_all.reliable
        row = {"given": self.given}
        row |= _mean("log_p_given", self.of_given.value)
        if self.of_given is not self.of_all:
            row |= _mean("log_p_rest", self.of_all.value - self.of_given.value)
        ess = self.of_given.effective_sample_size.mean()
        return row | {
            "effective_sample_size": float(ess),
            "share_not_trusted": float((~reliable).mean()),
            "seconds": self.seconds,
        }


def _mean(name: str, value: np.ndarray) -> dict:
    error = value.std(ddof=1) / len(value) ** 0.5
    return {name: float(value.mean()), f"{name}_se": float(error)}


def likelihoods(
    rng_key, fitted: Fitted, test: MultimodalData, num_samples: int
) -> list[Result]:
    """log p of all modalities, of each one, and of the rest given each one."""
    results: list[Result] = []
    for i, name in enumerate((None, *test.names)):
        started = time.perf_counter()
        subset = None if name is None else test.subset_of(name)
        key = jax.random.fold_in(rng_key, i)
        estimate = fitted.log_likelihood(key, test, subset, num_samples=num_samples)
        estimate = jax.tree.map(np.asarray, estimate)
        of_all = results[0].of_all if results else estimate
        seconds = time.perf_counter() - started
        results.append(Result(name or "all five", estimate, of_all, seconds))
    return results


def table(results: list[Result], num_samples: int) -> Table:
    """One readable table of test log-likelihoods."""
    most = f"k̂ > {threshold(num_samples):.2f}"
    shown = Table(
        title="Test log-likelihood, nats a row (± standard error over rows)",
        caption=(
            f"ESS: effective size of {num_samples} importance samples for log p(S). "
            f"{most}: share of rows in which an estimate of the line may be far off, to "
            "either side."
        ),
    )
    shown.add_column("given S")
    for title in ("log p(S)", "log p(rest | S)", "ESS", most):
        shown.add_column(title, justify="right")
    shown.add_column("seconds", justify="right")
    for result in results:
        row = result.summary()
        rest = "–"
        if "log_p_rest" in row:
            rest = f"{row['log_p_rest']:.2f} ± {row['log_p_rest_se']:.2f}"
        shown.add_row(
            row["given"].replace("_", " "),
            f"{row['log_p_given']:.2f} ± {row['log_p_given_se']:.2f}",
            rest,
            f"{row['effective_sample_size']:.0f}",
            f"{row['share_not_trusted']:.0%}",
            f"{row['seconds']:.1f}",
        )
    return shown


def _draw(rng_key, fitted: Fitted, test: MultimodalData, out: Path) -> None:
    labels = np.asarray(test.covariates["label"])
    one_of_each = [int(np.argmax(labels == digit)) for digit in np.unique(labels)]
    rows = test.take(one_of_each)
    generated = {}
    for i, given in enumerate(GIVEN):
        key = jax.random.fold_in(rng_key, i)
        means = fitted.generate(
            key, rows, rows.subset_of(*given), mean=True, num_samples=200
        )
        generated[given] = {n: np.asarray(x.mean(0)) for n, x in means.items()}
    truth = {name: np.asarray(value) for name, value in rows.values.items()}
    pictures.save(pictures.completions(truth, generated), out / "completions.png")
    pictures.save(plot_training(fitted.history), out / "training.png")


def _prepare(out: Path, overwrite: bool) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out: expected a folder, but {out} is a file")
    there = [name for name in FILES if (out / name).exists()]
    if there and not overwrite:
        raise ValueError(
            f"--out: {out} holds {', '.join(there)} of an earlier run; name another folder "
            "or add --overwrite"
        )
    out.mkdir(parents=True, exist_ok=True)
