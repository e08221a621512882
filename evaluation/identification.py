"""Mean correlation coefficients: were the true latents found, and up to what?"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Num
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from consilience.evaluation.canonical import canonical_variates
from consilience.evaluation.checks import varying_columns

CORRELATIONS: dict[str, Callable] = {
    "pearson": lambda x: x,
    "spearman": lambda x: rankdata(x, axis=0),
}


class MeanCorrelation(NamedTuple):
    """Mean absolute correlations of D true with D found latents, from 0 to 1.

    Attributes:
        strong: after the one-to-one matching of columns that makes it largest. Being a
            maximum it is biased upwards, to the order of √(log D / N) for pure noise.
        strong_out_of_sample: matched on one half of the rows, measured on the other.
        weak: of all D canonical pairs, on the half that they were fitted on. Biased
            upwards, by much where N is a small multiple of D.
        weak_out_of_sample: of the same pairs on the other half.
    """

    strong: float
    strong_out_of_sample: float
    weak: float
    weak_out_of_sample: float


class Identification(NamedTuple):
    """How well latents are identified.

    Attributes:
        samples: by one posterior draw a row, averaged over the draws. Even the exact
            posterior stays below 1 by what the data leave open.
        means: by posterior means, the higher figure of the two as a rule.
    """

    samples: MeanCorrelation
    means: MeanCorrelation


def mean_correlation(
    truth: Num[Array | np.ndarray, "rows dims"],
    found: Num[Array | np.ndarray, "rows dims"],
    *,
    method: str = "pearson",
) -> MeanCorrelation:
    """Mean correlation coefficients (MCC) of Khemakhem et al. (2020, ICE-BeeM).

    Strong: equal to 1 where `found` has the columns of `truth` in another order, shifted,
    scaled and with other signs. Weak: where it is any invertible affine map of them. The
    halves are every other row, so that sorted rows do no harm. Canonical pairs come from
    QR and SVD (Björck and Golub 1973); a direction that is missing because columns
    depend on one another counts with correlation 0.

    Args:
        truth: true latents `[N, D]`.
        found: inferred latents `[N, D]`.
        method: "pearson", or "spearman" for correlations of ranks.

    Raises:
        ValueError: the shapes differ, 4 D + 2 rows or more are not there, a number is
            not finite, a column is constant, the method is unknown.
    """
    truth, found = varying_columns("truth", truth), varying_columns("found", found)
    _check_pair(truth, found, method)
    rank = CORRELATIONS[method]
    weak = canonical_variates(truth[::2], found[::2])
    return MeanCorrelation(
        _matched(rank, (truth, found), (truth, found)),
        _matched(rank, (truth[::2], found[::2]), (truth[1::2], found[1::2])),
        _paired(rank, *weak(truth[::2], found[::2]), truth.shape[1]),
        _paired(rank, *weak(truth[1::2], found[1::2]), truth.shape[1]),
    )


def identification(
    truth: Num[Array | np.ndarray, "rows dims"],
    samples: Num[Array | np.ndarray, "samples rows dims"],
    *,
    method: str = "pearson",
) -> Identification:
    """Mean correlation coefficients of posterior draws and of posterior means.

    Arguments: see `mean_correlation`; `samples` are draws `[K, N, D]` as `posterior` gives
    them. The exact posterior's own figures (of `LinearGaussian`, say) are the ceiling.
    """
    samples = np.asarray(samples)
    if not len(samples):
        raise ValueError(f"samples: expected 1 draw or more, got {samples.shape}")
    draws = [mean_correlation(truth, draw, method=method) for draw in samples]
    means = mean_correlation(truth, samples.mean(0, dtype=float), method=method)
    return Identification(MeanCorrelation(*np.mean(draws, 0).tolist()), means)


def _correlations(rank: Callable, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    x, y = _unit(rank(x)), _unit(rank(y))
    return np.clip(np.abs(x.T @ y), 0.0, 1.0)


def _unit(x: np.ndarray) -> np.ndarray:
    x = x - x.mean(0)
    norm = np.linalg.norm(x, axis=0)
    return x / np.where(norm > 0, norm, 1.0)  # constant in this half: correlation 0


def _matched(rank: Callable, fitted_on: tuple, measured_on: tuple) -> float:
    pairs = linear_sum_assignment(_correlations(rank, *fitted_on), maximize=True)
    return float(_correlations(rank, *measured_on)[pairs].mean())


def _paired(rank: Callable, x: np.ndarray, y: np.ndarray, dims: int) -> float:
    return float(np.diag(_correlations(rank, x, y)).sum() / dims)


def _check_pair(truth: np.ndarray, found: np.ndarray, method: str) -> None:
    if truth.shape != found.shape:
        raise ValueError(
            f"found: expected the shape of truth, {truth.shape}, got {found.shape}; choose "
            "the columns that are to be compared"
        )
    least = 4 * truth.shape[1] + 2
    if len(truth) < least:
        raise ValueError(
            f"truth: expected at least {least} rows for {truth.shape[1]} columns (on fewer "
            f"any latents have canonical correlations of 1), got {len(truth)}"
        )
    if method not in CORRELATIONS:
        known = ", ".join(CORRELATIONS)
        raise ValueError(f"method: expected one of {known}, got {method!r}")
