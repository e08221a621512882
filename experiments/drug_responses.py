"""Held-out drug responses of patients: predictive log-density and interval coverage.

A file of views as arrays "x_drugs" and "x_genomics" with NaN where nothing was measured,
such as the blood cancers of Dietrich et al. 2018. Each split hides a tenth of all single
responses and, of a fifth of the patients, all of them; what is left is learned from, and
predicts the rest. Beside ours: a Gaussian and a Student-t per column, and probabilistic
PCA fitted by EM to the same incomplete data (drugs alone, and both views).
"""

import argparse
import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.infer import SVI
from rich.table import Table
from scipy import stats

import consilience.guides as guides
import consilience.models as models
from consilience.datasets import MultimodalData
from consilience.datasets.writing import write_text
from consilience.evaluation import predictive_intervals, predictive_log_density
from consilience.experiments.console import console as make_console
from consilience.experiments.options import whole_number
from consilience.inference import (
    AnnealingSchedule,
    MaskedELBO,
    annealed_log_likelihood,
)
from consilience.training import fit

LATENT, WIDTH, BATCH, PROBABILITY = 10, 64, 64, 0.9
JOINTLY = "whole rows, jointly"


class Scores(NamedTuple):
    """Of the responses.

    Attributes:
        log_p: log-density of each by itself.
        covers: whether its interval does.
        joint: log-density of all responses of each patient who has them all hidden.
    """

    log_p: np.ndarray
    covers: np.ndarray
    joint: np.ndarray


class Task(NamedTuple):
    """One split.

    Attributes:
        drugs: all responses.
        left: with NaN in what is held out.
        genomics: lesions.
        kinds: masks of what is held out.
    """

    drugs: np.ndarray
    left: np.ndarray
    genomics: np.ndarray
    kinds: dict[str, np.ndarray]

    @property
    def rows(self) -> np.ndarray:
        """Patients whose responses are all hidden."""
        return np.flatnonzero(self.kinds["whole rows"].any(-1))

    def data(self, drugs: np.ndarray, *names: str) -> MultimodalData:
        """These responses with the lesions, or only what is named."""
        views = {"drugs": drugs, "genomics": self.genomics}
        views = {name: views[name] for name in names or views}
        return MultimodalData.from_arrays(views, allow_empty_rows=True)


def hide(seed: int, drugs: np.ndarray, genomics: np.ndarray) -> tuple:
    """Responses with NaN in what is held out, lesions, masks of the two kinds of that."""
    generator = np.random.default_rng(seed)
    entries = generator.random(drugs.shape) < 0.1
    rows = np.zeros(drugs.shape, bool)
    rows[generator.permutation(len(drugs))[: len(drugs) // 5]] = True
    measured = ~np.isnan(drugs)
    left = np.where(entries | rows, np.nan, drugs)
    kinds = {
        "single entries": entries & ~rows & measured,
        "whole rows": rows & measured,
    }
    return left, genomics, kinds


def gaussian(task: Task) -> Scores:
    """Mean and standard deviation of each column."""
    left = task.left
    return of_law(stats.norm(np.nanmean(left, 0), np.nanstd(left, 0, ddof=1)), task)


def student_t(task: Task) -> Scores:
    """Student's t fitted to each column: what heavy tails alone are worth."""
    fits = [stats.t.fit(column[~np.isnan(column)]) for column in task.left.T]
    return of_law(stats.t(*np.array(fits).T), task)


def of_law(law, task: Task) -> Scores:
    """Scores where responses are independent of one another."""
    lower, upper = law.interval(PROBABILITY)
    log_p = law.logpdf(task.drugs)
    covers = (lower <= task.drugs) & (task.drugs <= upper)
    return Scores(log_p, covers, log_p[task.rows].sum(-1))


def probabilistic_pca(task: Task, latent_dim: int, *names: str) -> Scores:
    """Maximum likelihood by EM; the exact predictive law of each entry, and of all."""
    data = task.data(task.left, *names).standardize()
    truth = models.maximum_likelihood(data, latent_dim)
    q = truth.posterior(data, data.present)
    W, scaled = truth.loadings["drugs"], data.standardization
    mean = q.loc @ W.T + truth.biases["drugs"]
    spread = jnp.einsum("pd,nde,pe->np", W, q.covariance_matrix, W) + truth.scale**2
    loc, scale = (np.asarray(x["drugs"]) for x in (scaled.loc, scaled.scale))
    mean, deviation = (
        np.asarray(mean) * scale + loc,
        np.sqrt(np.asarray(spread)) * scale,
    )
    full = task.data(task.drugs, *names).standardize(like=data).take(task.rows)
    given = full.present & (np.array(full.names) != "drugs")
    joint = truth.log_likelihood(full) - truth.log_likelihood(full, given)
    return of_law(stats.norm(mean, deviation), task)._replace(joint=np.asarray(joint))


def ours(seed: int, task: Task, epochs: int) -> Scores:
    """Student-t responses and Bernoulli lesions of one latent cause, linear decoders."""
    data = task.data(task.left).standardize(["drugs"])
    likelihoods = {
        "drugs": models.StudentTLikelihood(4.0, 1.0, 0.02),
        "genomics": models.BernoulliLikelihood(),
    }
    model = models.multimodal_model(
        models.standard_normal(LATENT), likelihoods, models.LinearDecoder
    )
    guide = guides.amortized_guide(
        LATENT,
        partial(guides.MLPEncoder, hidden=(WIDTH,)),
        partial(guides.SumPooling, width=WIDTH, hidden=(WIDTH,)),
        WIDTH,
    )
    steps = epochs * -(-data.size // BATCH)
    adam = optax.adam(optax.cosine_decay_schedule(3e-3, steps))
    svi = SVI(model, guide, adam, MaskedELBO())
    keys = jax.random.split(jax.random.key(seed), 4)
    sizes = {"num_epochs": epochs, "batch_size": BATCH, "progress": False}
    params = fit(keys[0], svi, data, **sizes).params
    programs = (model, guide, params, data)
    truth = {"drugs": task.drugs}
    log_p = predictive_log_density(keys[1], *programs, truth)["drugs"]
    found = predictive_intervals(keys[2], *programs, probability=PROBABILITY)
    lower, upper = found.lower["drugs"], found.upper["drugs"]
    full = task.data(task.drugs).standardize(like=data).conform(data).take(task.rows)
    joint = jointly(keys[3], model, guide, params, full)
    return Scores(log_p, (lower <= task.drugs) & (task.drugs <= upper), joint)


def jointly(rng_key, model, guide, params, full: MultimodalData) -> np.ndarray:
    """log p(drugs | genomics) by annealing; plain importance sampling has k̂ > 0.7 here."""
    key_all, key_given = jax.random.split(rng_key)
    run = partial(annealed_log_likelihood, schedule=AnnealingSchedule(16, 100, 5))
    all_of_it = run(key_all, model, guide, params, full).value
    given = run(key_given, model, guide, params, full, full.subset_of("genomics")).value
    return np.asarray(all_of_it - given)


def measure(path: Path, seeds: int, epochs: int, dims: list[int]) -> Iterator[dict]:
    """One record for each split, kind of held-out responses and method."""
    with np.load(path, allow_pickle=False) as file:
        drugs, genomics = (file[f"x_{name}"] for name in ("drugs", "genomics"))
    for seed in range(1, seeds + 1):
        task = Task(drugs, *hide(seed, drugs, genomics))
        methods = {
            "ours": partial(ours, seed, task, epochs),
            "Gaussian per column": partial(gaussian, task),
            "Student-t per column": partial(student_t, task),
        }
        for dim in dims:
            for name, views in (("drugs", ("drugs",)), ("both", ())):
                run = partial(probabilistic_pca, task, dim, *views)
                methods[f"PCA {name}, {dim} dimensions"] = run
        for method, score in methods.items():
            for kind, figures in summary(score(), task).items():
                yield {"split": seed, "held out": kind, "method": method, **figures}


def summary(scores: Scores, task: Task) -> dict[str, dict[str, float]]:
    """Means by kind, a response."""
    found = {
        kind: {
            "log_p": float(scores.log_p[mask].mean()),
            "coverage": float(scores.covers[mask].mean()),
        }
        for kind, mask in task.kinds.items()
    }
    joint = scores.joint.sum() / task.kinds["whole rows"].sum()
    return found | {JOINTLY: {"log_p": float(joint)}}


def tables(records: list[dict]) -> Iterator[Table]:
    """For each kind: means over splits, and what each is below ours, paired."""
    for kind in dict.fromkeys(r["held out"] for r in records):
        rows = [r for r in records if r["held out"] == kind]
        shown = Table(title=f"Held-out {kind}: nats a response, 90 % intervals")
        for column in ("method", "log p", "ours is better by", "covered"):
            shown.add_column(column)
        of = {
            method: np.array(
                [
                    (r["log_p"], r.get("coverage", np.nan))
                    for r in rows
                    if r["method"] == method
                ]
            )
            for method in dict.fromkeys(r["method"] for r in rows)
        }
        for method, values in of.items():
            gap = of["ours"][:, 0] - values[:, 0]
            better = "–" if method == "ours" else _with_error(gap)
            shown.add_row(
                method, _with_error(values[:, 0]), better, _with_error(values[:, 1])
            )
        yield shown


def _with_error(values: np.ndarray) -> str:
    if np.isnan(values).all():
        return "–"
    return f"{values.mean():.3f} ± {values.std(ddof=1) / len(values) ** 0.5:.3f}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("file", type=Path, help="npz with x_drugs and x_genomics")
    parser.add_argument("--out", type=Path, default=Path("drug_responses.json"))
    parser.add_argument("--splits", type=whole_number(2), default=5)
    parser.add_argument("--epochs", type=whole_number(1), default=200)
    parser.add_argument(
        "--dims", type=whole_number(1), nargs="+", default=[3, 5, 10, 20]
    )


def run(options: argparse.Namespace) -> None:
    """Train all, print the tables, write all figures as JSON."""
    console, records = make_console(), []
    for record in measure(options.file, options.splits, options.epochs, options.dims):
        records.append(record)
        write_text(options.out, json.dumps(records, indent=2))
    for table in tables(records):
        console.print(table)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
