"""Likelihoods of many rows in one line, and whether to trust them."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike

from consilience.inference.pareto import threshold

TOLERATED = 0.05
REMEDY = (
    "Take more samples, a guide closer to the posterior (more features, a mixture or "
    "full-covariance head), or annealed_log_likelihood for a few rows"
)


class Reliability(NamedTuple):
    """The mean of a log-likelihood over rows, and what stands behind it.

    Attributes:
        mean: of the rows' values, in nats a row.
        standard_error: of `mean` as an estimate for rows like these: their spread.
        monte_carlo_error: of `mean` for these very rows: that of importance sampling.
        smallest_sample_size: the least effective sample size of a row.
        unreliable: share of rows whose k̂ is above its threshold, or without any k̂.
        rows: how many count.
        left_out: rows that have nothing of what was asked for.
    """

    mean: float
    standard_error: float
    monte_carlo_error: float
    smallest_sample_size: float
    unreliable: float
    rows: int
    left_out: int = 0


def reliability(
    value: ArrayLike,
    standard_error: ArrayLike,
    effective_sample_size: ArrayLike,
    pareto_k: ArrayLike,
    num_samples: int | None = None,
    of: int | None = None,
) -> Reliability:
    """Summarise the rows that count; warn where more than 5 % of them are unreliable.

    Args:
        value: of each row that counts; the other figures likewise.
        standard_error: of importance sampling.
        effective_sample_size: of each row.
        pareto_k: of each row.
        num_samples: K, on which the threshold of k̂ depends.
        of: number of all rows, if some do not count.

    Raises:
        ValueError: no row counts.

    Warns:
        UserWarning: with what usually helps.
    """
    value, error = np.asarray(value, float), np.asarray(standard_error, float)
    k = np.asarray(pareto_k, float)
    if not len(value):
        raise ValueError(
            "log_likelihood: expected rows that have any of what was asked for, got none"
        )
    unreliable = float(np.mean(~(k <= threshold(num_samples))))
    if unreliable > TOLERATED:
        warnings.warn(_advice(k, num_samples), stacklevel=3)
    rows = len(value)
    spread = value.std(ddof=1) / np.sqrt(rows) if rows > 1 else np.nan
    return Reliability(
        mean=float(value.mean()),
        standard_error=float(spread),
        monte_carlo_error=float(np.sqrt((error**2).sum()) / rows),
        smallest_sample_size=float(np.min(effective_sample_size)),
        unreliable=unreliable,
        rows=rows,
        left_out=(rows if of is None else of) - rows,
    )


def _advice(k: np.ndarray, num_samples: int | None) -> str:
    if np.isnan(k).all():
        return "log_likelihood: no k̂ with fewer than 30 samples a row; take more"
    most = threshold(num_samples)
    bad = int(np.sum(~(k <= most)))
    of = "" if num_samples is None else f", the most for {num_samples} samples a row,"
    return (
        f"log_likelihood: k̂ > {most:.2f}{of} in {bad} of {len(k)} rows; their values may be "
        f"further off than their standard errors say, to either side. {REMEDY}"
    )
