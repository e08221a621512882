"""Likelihoods of many rows in one line, and whether to trust them."""

import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import ArrayLike

RELIABLE = 0.7  # Vehtari et al. 2024
TOLERATED = 0.05


class Reliability(NamedTuple):
    """The mean of a log-likelihood over rows, and what stands behind it.

    Attributes:
        mean: of the rows' values, in nats a row.
        standard_error: of `mean` as an estimate for rows like these: their spread.
        monte_carlo_error: of `mean` for these very rows: that of importance sampling.
        smallest_sample_size: the least effective sample size of a row.
        unreliable: share of rows with k̂ > 0.7, or without any k̂.
        rows: N.
    """

    mean: float
    standard_error: float
    monte_carlo_error: float
    smallest_sample_size: float
    unreliable: float
    rows: int


def reliability(
    value: ArrayLike,
    standard_error: ArrayLike,
    effective_sample_size: ArrayLike,
    pareto_k: ArrayLike,
) -> Reliability:
    """Summarise rows, `[N]` each; warn where more than 5 % of them are unreliable.

    Warns:
        UserWarning: with what usually helps.
    """
    value, error = np.asarray(value, float), np.asarray(standard_error, float)
    k = np.asarray(pareto_k, float)
    unreliable = float(np.mean(~(k <= RELIABLE)))
    if unreliable > TOLERATED:
        warnings.warn(_advice(k), stacklevel=3)
    rows = len(value)
    spread = value.std(ddof=1) / np.sqrt(rows) if rows > 1 else np.nan
    return Reliability(
        mean=float(value.mean()),
        standard_error=float(spread),
        monte_carlo_error=float(np.sqrt((error**2).sum()) / rows),
        smallest_sample_size=float(np.min(effective_sample_size)),
        unreliable=unreliable,
        rows=rows,
    )


def _advice(k: np.ndarray) -> str:
    if np.isnan(k).all():
        return "log_likelihood: no k̂ with fewer than 30 samples a row; take more"
    bad = int(np.sum(~(k <= RELIABLE)))
    return (
        f"log_likelihood: k̂ > {RELIABLE} in {bad} of {len(k)} rows; their values are "
        "probably too low and their standard errors too small. More samples help little: "
        "train the guide longer, give it more features, a mixture or full-covariance "
        "head, or take annealed_log_likelihood for a few rows"
    )
