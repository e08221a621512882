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
    of: int | None = None,
) -> Reliability:
    """Summarise the rows that count; warn where more than 5 % of them are unreliable.

    Args:
        value: of each row that counts; the other figures likewise.
        standard_error: of importance sampling.
        effective_sample_size: of each row.
        pareto_k: of each row.
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
        left_out=(rows if of is None else of) - rows,
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
