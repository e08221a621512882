"""How well clusters agree with known classes."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Shaped
from scipy.optimize import linear_sum_assignment

from consilience.evaluation.labels import plain


class ClusteringScores(NamedTuple):
    """Agreement of clusters with classes; 1 is perfect, whatever the clusters are called.

    Attributes:
        adjusted_rand: adjusted Rand index (Hubert and Arabie 1985), 0 in expectation for
            random clusters, negative for worse ones.
        normalized_mutual_information: 2 I / (H + H), from 0 to 1. Not adjusted for chance:
            it grows with the number of clusters.
        accuracy: share of rows in the class that their cluster is matched with, one to
            one; rows of clusters without a class count as wrong. It is a maximum over
            matchings and stays above 1 / classes for random clusters.
    """

    adjusted_rand: float
    normalized_mutual_information: float
    accuracy: float


def clustering_scores(
    labels: Shaped[Array | np.ndarray, " rows"],
    assignments: Shaped[Array | np.ndarray, " rows"],
) -> ClusteringScores:
    """Compare clusters, such as the argmax of `responsibilities`, with classes.

    Args:
        labels: true classes `[N]`, whole numbers or names.
        assignments: clusters `[N]`, whole numbers or names; there may be more or fewer.

    Raises:
        ValueError: the lengths differ or are 0; numbers are not whole.
    """
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    labels, assignments = _coded("labels", labels), _coded("assignments", assignments)
    if len(labels) != len(assignments):
        raise ValueError(
            f"assignments: expected {len(labels)}, one for each label, got "
            f"{len(assignments)}"
        )
    return ClusteringScores(
        float(adjusted_rand_score(labels, assignments)),
        float(normalized_mutual_info_score(labels, assignments)),
        _matched_accuracy(labels, assignments),
    )


def _matched_accuracy(labels: np.ndarray, assignments: np.ndarray) -> float:
    counts = np.zeros((labels.max() + 1, assignments.max() + 1), int)
    np.add.at(counts, (labels, assignments), 1)
    pairs = linear_sum_assignment(counts, maximize=True)
    return float(counts[pairs].sum() / len(labels))


def _coded(name: str, values: object) -> np.ndarray:
    """Whole numbers from 0 on."""
    values = plain(values)
    if values.ndim != 1 or not values.size or values.dtype.kind not in "iubSU":
        raise ValueError(
            f"{name}: expected whole numbers or names of shape [N], got {values.dtype} of "
            f"shape {values.shape}"
        )
    try:
        return np.unique(values, return_inverse=True)[1]
    except TypeError as error:  # objects without an order
        kinds = ", ".join(sorted({type(value).__name__ for value in values}))
        raise ValueError(
            f"{name}: expected whole numbers alone or names alone, got {kinds}"
        ) from error
