"""Figures of a fit on data, as tables."""

from typing import TYPE_CHECKING, NamedTuple

import jax
import numpy as np
from rich.table import Table

import consilience as cs
from consilience.cli.applied import Applied
from consilience.inference.pareto import threshold
from consilience.inference.reliability import TOLERATED

if TYPE_CHECKING:
    from pandas import DataFrame

Subset = tuple[str, ...]


class Line(NamedTuple):
    """Log-likelihoods given one subset S; means over samples that have any of it.

    Attributes:
        given: S in words.
        samples: that have any of S.
        log_p: log p(S), nats a sample in the units of the data.
        log_p_se: its standard error over samples.
        log_p_rest: log p(rest | S) of samples that have more than S; NaN without any.
        log_p_rest_se: its standard error.
        effective_sample_size: mean over samples.
        not_trusted: share of samples whose estimate is not reliable for S or for all.
    """

    given: str
    samples: int
    log_p: float
    log_p_se: float
    log_p_rest: float
    log_p_rest_se: float
    effective_sample_size: float
    not_trusted: float


def subsets(rows: cs.MultimodalData) -> list[Subset]:
    """Each modality, all but each, all: of those that any sample has."""
    here = np.asarray(rows.present).any(0)
    names = tuple(n for n, there in zip(rows.names, here, strict=True) if there)
    rests = [tuple(n for n in names if n != name) for name in names]
    return [s for s in dict.fromkeys([names, *((n,) for n in names), *rests]) if s]


def likelihoods(rng_key, found: Applied, draws: int) -> list[Line]:
    """A line for each subset, all modalities first."""
    rows, lines, whole = found.rows, [], None
    for i, names in enumerate(subsets(rows)):
        subset = rows.subset_of(*names)
        key = jax.random.fold_in(rng_key, i)
        estimate = found.fitted.log_likelihood(key, rows, subset, num_samples=draws)
        estimate = jax.tree.map(np.asarray, estimate)
        whole = estimate if whole is None else whole
        lines.append(_line(in_words(names, rows.names), rows, subset, estimate, whole))
    return lines


def in_words(names: Subset, every: Subset) -> str:
    """A short name for a subset."""
    rest = [name for name in every if name not in names]
    if not rest:
        return "everything" if len(every) > 1 else names[0]
    if len(rest) == 1 and len(names) > 1:
        return f"all but {rest[0]}"
    return " + ".join(names)


def _line(given: str, rows, subset, estimate, whole) -> Line:
    subset, present = np.asarray(subset), np.asarray(rows.present)
    counts = subset.any(-1)
    more = counts & (present & ~subset).any(-1)
    reliable = estimate.reliable & (whole.reliable | ~more)
    rest = np.asarray(whole.value, float) - np.asarray(estimate.value, float)
    return Line(
        given,
        int(counts.sum()),
        *_mean(np.asarray(estimate.value, float)[counts]),
        *_mean(rest[more]),
        float(estimate.effective_sample_size[counts].mean()),
        float((~reliable)[counts].mean()),
    )


def _mean(values: np.ndarray) -> tuple[float, float]:
    if not len(values):
        return np.nan, np.nan
    error = values.std(ddof=1) / len(values) ** 0.5 if len(values) > 1 else np.nan
    return float(values.mean()), float(error)


def table(lines: list[Line]) -> "DataFrame":
    """A row a subset."""
    import pandas as pd

    return pd.DataFrame(lines, columns=list(Line._fields)).set_index("given")


def shown(lines: list[Line], draws: int) -> Table:
    """The same to be read, with what to do where it is not to be trusted."""
    most = f"k̂ > {threshold(draws):.2f}"
    caption = (
        f"± standard error over samples. ESS: effective size of {draws} importance samples. "
        f"{most}: share of samples whose estimate may be far off, to either side."
    )
    if max(line.not_trusted for line in lines) > TOLERATED:
        caption += (
            " More --draws help, and a mixture or cholesky head or more features."
        )
    made = Table(title="log-likelihood, nats a sample", caption=caption)
    made.add_column("given S")
    for title in ("samples", "log p(S)", "log p(rest | S)", "ESS", most):
        made.add_column(title, justify="right")
    for line in lines:
        rest = "–"
        if np.isfinite(line.log_p_rest):
            rest = f"{line.log_p_rest:.2f} ± {line.log_p_rest_se:.2f}"
        made.add_row(
            line.given,
            str(line.samples),
            f"{line.log_p:.2f} ± {line.log_p_se:.2f}",
            rest,
            f"{line.effective_sample_size:.0f}",
            f"{line.not_trusted:.0%}",
        )
    return made


def can_cross(rows: cs.MultimodalData) -> bool:
    """Whether a sample has two modalities, to predict one from another."""
    return bool((np.asarray(rows.present).sum(-1) > 1).any())
