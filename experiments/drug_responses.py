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

import jax
import jax.numpy as jnp
import numpy as np
import optax
from numpyro.infer import SVI
from rich.console import Console
from rich.table import Table
from scipy import stats

import consilience.guides as guides
import consilience.models as models
from consilience.datasets import MultimodalData
from consilience.evaluation import predictive_intervals, predictive_log_density
from consilience.experiments.options import whole_number
from consilience.inference import MaskedELBO, fit

LATENT, WIDTH, BATCH, PROBABILITY = 10, 64, 64, 0.9
Scores = tuple[np.ndarray, np.ndarray]  # log-density, and whether the interval covers


def hide(seed: int, drugs: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The responses with NaN in what is held out; masks of the two kinds of that."""
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
    return left, kinds


def gaussian(left: np.ndarray, drugs: np.ndarray) -> Scores:
    """Mean and standard deviation of each column."""
    return of_normal(np.nanmean(left, 0), np.nanstd(left, 0, ddof=1), drugs)


def student_t(left: np.ndarray, drugs: np.ndarray) -> Scores:
    """Student's t fitted to each column: what heavy tails alone are worth."""
    fits = [stats.t.fit(column[~np.isnan(column)]) for column in left.T]
    law = stats.t(*np.array(fits).T)
    lower, upper = law.interval(PROBABILITY)
    return law.logpdf(drugs), (lower <= drugs) & (drugs <= upper)


def of_normal(mean, scale, drugs) -> Scores:
    """Scores of a Normal prediction."""
    law = stats.norm(mean, scale)
    lower, upper = law.interval(PROBABILITY)
    return law.logpdf(drugs), (lower <= drugs) & (drugs <= upper)


def probabilistic_pca(views: dict, drugs: np.ndarray, latent_dim: int) -> Scores:
    """Maximum likelihood by EM; the exact predictive law of each entry."""
    data = MultimodalData.from_arrays(views, allow_empty_rows=True).standardize()
    truth = models.maximum_likelihood(data, latent_dim)
    q = truth.posterior(data, data.present)
    W, scaled = truth.loadings["drugs"], data.standardization
    mean = q.loc @ W.T + truth.biases["drugs"]
    spread = jnp.einsum("pd,nde,pe->np", W, q.covariance_matrix, W) + truth.scale**2
    loc, scale = (np.asarray(x["drugs"]) for x in (scaled.loc, scaled.scale))
    mean, deviation = np.asarray(mean), np.sqrt(np.asarray(spread))
    return of_normal(mean * scale + loc, deviation * scale, drugs)


def ours(seed: int, views: dict, drugs: np.ndarray, epochs: int) -> Scores:
    """Student-t responses and Bernoulli lesions of one latent cause, linear decoders."""
    data = MultimodalData.from_arrays(views, allow_empty_rows=True)
    data = data.standardize(["drugs"])
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
    keys = jax.random.split(jax.random.key(seed), 3)
    sizes = {"num_epochs": epochs, "batch_size": BATCH, "progress": False}
    params = fit(keys[0], svi, data, **sizes).params
    programs = (model, guide, params, data)
    log_p = predictive_log_density(keys[1], *programs, {"drugs": drugs})["drugs"]
    found = predictive_intervals(keys[2], *programs, probability=PROBABILITY)
    lower, upper = found.lower["drugs"], found.upper["drugs"]
    return log_p, (lower <= drugs) & (drugs <= upper)


def measure(path: Path, seeds: int, epochs: int, dims: list[int]) -> Iterator[dict]:
    """One record for each split, kind of held-out responses and method."""
    with np.load(path, allow_pickle=False) as file:
        drugs, genomics = (file[f"x_{name}"] for name in ("drugs", "genomics"))
    for seed in range(1, seeds + 1):
        left, kinds = hide(seed, drugs)
        both = {"drugs": left, "genomics": genomics}
        methods = {
            "ours": lambda s=seed, v=both: ours(s, v, drugs, epochs),
            "Gaussian per column": lambda x=left: gaussian(x, drugs),
            "Student-t per column": lambda x=left: student_t(x, drugs),
        }
        for dim in dims:
            for name, views in (("drugs", {"drugs": left}), ("both", both)):
                methods[f"PCA {name}, {dim} dimensions"] = lambda v=views, d=dim: (
                    probabilistic_pca(v, drugs, d)
                )
        for method, score in methods.items():
            log_p, covers = score()
            for kind, mask in kinds.items():
                run = {"split": seed, "held out": kind, "method": method}
                figures = {"log_p": log_p[mask].mean(), "coverage": covers[mask].mean()}
                yield run | {name: float(x) for name, x in figures.items()}


def tables(records: list[dict]) -> Iterator[Table]:
    """For each kind: means over splits, and what each is below ours, paired."""
    for kind in dict.fromkeys(r["held out"] for r in records):
        rows = [r for r in records if r["held out"] == kind]
        shown = Table(title=f"Held-out {kind}: nats a response, 90 % intervals")
        for column in ("method", "log p", "ours is better by", "covered"):
            shown.add_column(column)
        of = {
            method: np.array(
                [(r["log_p"], r["coverage"]) for r in rows if r["method"] == method]
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
    console, records = Console(), []
    for record in measure(options.file, options.splits, options.epochs, options.dims):
        records.append(record)
        options.out.write_text(json.dumps(records, indent=2))
    for table in tables(records):
        console.print(table)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_arguments(arguments)
    run(arguments.parse_args())
