"""Clustering scores against counts of pairs, entropies and every matching."""

import itertools
from math import comb

import numpy as np
import pytest

import consilience as cs


def contingency(labels, assignments):
    return np.array(
        [
            [np.sum((labels == a) & (assignments == b)) for b in np.unique(assignments)]
            for a in np.unique(labels)
        ]
    )


def adjusted_rand(table):
    pairs = sum(comb(int(n), 2) for n in table.ravel())
    rows = sum(comb(int(n), 2) for n in table.sum(1))
    columns = sum(comb(int(n), 2) for n in table.sum(0))
    expected = rows * columns / comb(int(table.sum()), 2)
    return (pairs - expected) / ((rows + columns) / 2 - expected)


def normalized_information(table):
    p = table / table.sum()
    independent = p.sum(1, keepdims=True) * p.sum(0)
    information = np.sum(p[p > 0] * np.log(p[p > 0] / independent[p > 0]))
    entropy = -sum(np.sum(q * np.log(q)) for q in (p.sum(0), p.sum(1)))
    return 2 * information / entropy


def accuracy(table):
    """All one-to-one matchings, the smaller side filled up with nothing."""
    size = max(table.shape)
    square = np.zeros((size, size))
    square[: table.shape[0], : table.shape[1]] = table
    permutations = itertools.permutations(range(size))
    return max(square[range(size), p].sum() for p in permutations) / table.sum()


@pytest.mark.parametrize("clusters", [2, 3, 5])
def test_scores_are_the_direct_ones(clusters):
    generator = np.random.default_rng(clusters)
    labels = generator.integers(0, 3, 47)
    assignments = (labels + generator.integers(0, 2, 47)) % clusters
    table = contingency(labels, assignments)
    found = cs.clustering_scores(labels, assignments)
    assert found.adjusted_rand == pytest.approx(adjusted_rand(table))
    information = normalized_information(table)
    assert found.normalized_mutual_information == pytest.approx(information)
    assert found.accuracy == pytest.approx(accuracy(table))


def test_names_of_clusters_do_not_matter():
    labels = np.array(["cat", "dog", "cat", "owl", "dog", "owl"])
    assert cs.clustering_scores(labels, np.array([-7, 3, -7, 100, 3, 100])) == (1, 1, 1)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("labels", "assignments", "said"),
    [
        (
            np.arange(4),
            np.arange(3),
            "assignments: expected 4, one for each label, got 3",
        ),
        (np.arange(3), np.ones(3), "assignments: expected whole numbers or names"),
        (np.arange(0), np.arange(0), "labels: expected whole numbers or names"),
    ],
)
def test_what_is_no_clustering_is_refused(labels, assignments, said):
    with pytest.raises(ValueError, match=said):
        cs.clustering_scores(labels, assignments)
