"""Figures that judge a fit, against their formulas in NumPy."""

import jax.numpy as jnp
import numpy as np
from scipy import linalg, stats
from scipy.optimize import linear_sum_assignment

import consilience as cs
from attack.case import Case, mechanism


def near(truth, rtol=1e-4, atol=1e-5):
    """Within tolerances."""
    return lambda got: np.testing.assert_allclose(
        np.asarray(got, float), truth, rtol=rtol, atol=atol
    )


@mechanism("metric: Fréchet distance", 7, quick=2)
def frechet(rng, seed):
    x, y = rng.normal(size=(30, 3)), rng.normal(1, 2, size=(20, 3))
    kind = seed % 7
    if kind == 1:
        x, y = x * 1e6, y * 1e6
    if kind == 2:
        y = x.copy()
    if kind == 3:
        x[:, 1] = 5.0
    bad = {
        4: (x[:1], y),
        5: (x, y[:, :2]),
        6: (
            np.where(x > 2, np.nan, x)
            * np.where(np.arange(30)[:, None] == 3, np.nan, 1),
            y,
        ),
    }
    if kind in bad:
        x, y = bad[kind]
        return Case(
            f"fault {kind}",
            lambda folder: cs.frechet_distance(x, y),
            None,
            ("x|y", "expected"),
        )
    root = linalg.sqrtm(np.cov(x.T) @ np.cov(y.T)).real
    truth = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(
        np.cov(x.T) + np.cov(y.T) - 2 * root
    )
    return Case(
        f"kind {kind}",
        lambda folder: cs.frechet_distance(x, y),
        near(truth, 1e-4, 1e-5 * np.trace(np.cov(x.T))),
        None,
    )


@mechanism("metric: clustering", 10, quick=2)
def clustering(rng, seed):
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    labels, found = rng.integers(0, 3, 40), rng.integers(0, 4, 40)
    given = (
        (labels, found),
        (labels.astype(str), found),
        (labels * 1000 - 5, found),
        (labels > 0, found),
        (labels, labels),
        (labels, found[:39]),
        (labels[:0], found[:0]),
        (np.where(labels == 1, np.nan, labels.astype(float)), found),
        (labels[:, None], found),
        ([None, *labels[1:]], found),
    )[seed % 10]
    if seed % 10 > 4:
        return Case(
            f"fault {seed % 10}",
            lambda folder: cs.clustering_scores(*given),
            None,
            ("labels|assignments", "expected"),
        )

    def right(got):
        a, b = given
        table = np.array(
            [[((a == i) & (b == j)).sum() for j in np.unique(b)] for i in np.unique(a)]
        )
        rows, columns = linear_sum_assignment(-table)
        np.testing.assert_allclose(got.accuracy, table[rows, columns].sum() / 40)
        np.testing.assert_allclose(
            got.adjusted_rand, adjusted_rand_score(a, b), atol=1e-9
        )
        np.testing.assert_allclose(
            got.normalized_mutual_information,
            normalized_mutual_info_score(a, b),
            atol=1e-9,
        )

    return Case(
        f"labels {given[0][:3]}",
        lambda folder: cs.clustering_scores(*given),
        right,
        None,
    )


@mechanism("metric: mean correlation", 10, quick=2)
def correlation(rng, seed):
    truth = rng.laplace(size=(60, 3))
    order, sign = rng.permutation(3), rng.choice([-1, 1], 3)
    found = truth[:, order] * sign * 10.0 ** rng.integers(-5, 6, 3) + 7
    kind = seed % 10
    bad = {
        4: (truth, found[:59]),
        5: (truth, np.where(found == found.max(), np.nan, found)),
        6: (truth[:, 0], found[:, 0]),
        7: (truth[:2], found[:2]),
        8: (truth, np.column_stack([found[:, :2], np.ones(60)])),
        9: (truth, found[:, :2]),
    }
    if kind in bad:
        settings = {}
        words = ("truth|found|rows|dims|column|dimension", "expected")
        free = kind in (8, 9)
        return Case(
            f"fault {kind}",
            lambda folder: cs.mean_correlation(*bad[kind], **settings),
            (lambda got: _finite(got)) if free else None,
            words,
        )
    if kind == 3:
        found = np.sign(found - 7) * np.abs(found - 7) ** 3
    method = ("pearson", "spearman")[seed % 2]
    if kind == 2:
        noisy = found + rng.normal(size=found.shape) * found.std(0)
        corr = (
            stats.spearmanr(truth, noisy).statistic[:3, 3:]
            if method == "spearman"
            else np.corrcoef(truth.T, noisy.T)[:3, 3:]
        )
        i, j = linear_sum_assignment(-np.abs(corr))
        return Case(
            "noisy",
            lambda folder: cs.mean_correlation(truth, noisy, method=method).strong,
            near(np.abs(corr[i, j]).mean(), 1e-3),
            None,
        )
    if kind == 3:
        method = "spearman"
    return Case(
        f"turned, {method}",
        lambda folder: cs.mean_correlation(truth, found, method=method).strong,
        near(1.0, 1e-5),
        None,
    )


def _finite(got):
    assert all(np.isfinite(x) for x in got), f"{got}"


@mechanism("metric: energy distance", 4)
def energy(rng, seed):
    x, y = (
        rng.normal(size=(12, 2)).astype(np.float32),
        rng.normal(1, 1, (9, 2)).astype(np.float32),
    )
    if seed % 4 == 1:
        x, y = x * np.float32(1e-12), y * np.float32(1e-12)
    if seed % 4 == 2:
        x, y = x + np.float32(1000), y + np.float32(1000)

    def mean(a, b, same=False):
        d = np.sqrt(((a[:, None].astype(float) - b[None].astype(float)) ** 2).sum(-1))
        return d.sum() / (len(a) * (len(a) - 1)) if same else d.mean()

    unbiased = 2 * mean(x, y) - mean(x, x, True) - mean(y, y, True)
    biased = 2 * mean(x, y) - mean(x, x) - mean(y, y)
    scale = np.abs(x - x.mean(0)).mean() + np.abs(y - x.mean(0)).mean()

    def right(got):
        options = [unbiased, biased, np.sqrt(max(biased, 0)), np.sqrt(max(unbiased, 0))]
        assert min(abs(float(got) - o) for o in options) < 1e-3 * max(scale, 1e-30), (
            f"{got} for one of {options}"
        )

    return Case(
        f"kind {seed % 4}",
        lambda folder: cs.energy_distance(jnp.asarray(x), jnp.asarray(y)),
        right,
        None,
    )


@mechanism("metric: sums over importance weights", 8, quick=0)
def weights(rng, seed):
    """The estimate, its error and its effective sample size, by NumPy in float64."""
    from consilience.inference.likelihood import of_weights

    offset = (0.0, -4e4, 1e3, -1e-3, -3e5, 0.0, 0.0, 0.0)[seed % 8]
    log_w = (
        rng.normal(size=(200, 5)) * (1.0 if seed % 8 < 5 else 0.0) + offset
    ).astype(np.float32)
    if seed % 8 == 6:
        log_w[:, 0] = -np.inf
        log_w[0, 0] = 0
    if seed % 8 == 7:
        log_w[:50] = -np.inf
    exact = log_w.astype(float)
    top = exact.max(0)
    w = np.exp(exact - top)
    value = top + np.log(w.mean(0))
    ess = w.sum(0) ** 2 / (w**2).sum(0)

    def right(got):
        np.testing.assert_allclose(got.value, value, atol=1e-4 + 1e-6 * np.abs(offset))
        np.testing.assert_allclose(got.effective_sample_size, ess, rtol=1e-3)
        np.testing.assert_allclose(
            got.standard_error, np.sqrt(np.maximum(1 / ess - 1 / 200, 0)), atol=2e-3
        )

    return Case(
        f"around {offset}", lambda folder: of_weights(jnp.asarray(log_w)), right, None
    )


@mechanism("metric: structural similarity", 6)
def similarity(rng, seed):
    """One of an image with itself, near none with its negative."""
    x = rng.random((3, 16, 16)).astype(np.float32)
    data = cs.MultimodalData.from_arrays({"a": x})
    given, settings, about = (
        (x, {}, "itself"),
        (1 - x, {}, "its negative"),
        (x[:2], {}, "fewer rows"),
        (x * np.nan, {}, "NaN"),
        (x, {"window": 17}, "a window that is too large"),
        (x, {"data_range": 0}, "a range of 0"),
    )[seed % 6]

    def right(got):
        value = np.asarray(got["a"].by_row)
        assert (
            np.allclose(value, 1.0, atol=1e-4) if seed % 6 == 0 else (value < 0).all()
        ), f"{value}"

    good = seed % 6 < 2
    return Case(
        about,
        lambda folder: cs.structural_similarity(data, {"a": given[None]}, **settings),
        right if good else None,
        None if good else ("'a'|window|data_range",),
    )


@mechanism("metric: reconstruction error", 6)
def reconstruction(rng, seed):
    """Squared errors of what was measured, by NumPy."""
    x = rng.normal(size=(5, 3)).astype(np.float32)
    hole = x.copy()
    hole[1, 1], hole[2] = np.nan, np.nan
    data = cs.MultimodalData.from_arrays({"a": hole, "b": x})
    given = rng.normal(size=(4, 5, 3)).astype(np.float32)
    if seed % 6 > 2:
        bad = (given[:, :4], np.where(given > 1.5, np.nan, given) * np.nan, given[0])[
            seed % 6 - 3
        ]
        return Case(
            f"fault {seed % 6}",
            lambda folder: cs.reconstruction_error(data, {"a": bad}),
            None,
            ("'a'", "expected"),
        )

    def right(got):
        mean = given.astype(float).mean(0)
        each = ((given.astype(float) - hole) ** 2).mean(0), (mean - hole) ** 2
        options = [
            f(np.nanmean(e[[0, 1, 3, 4]], 1))
            for e in each
            for f in (lambda v: v, np.sqrt)
        ]
        options += [
            f(np.nansum(e[[0, 1, 3, 4]], 1))
            for e in each
            for f in (lambda v: v, np.sqrt)
        ]
        options += [
            np.sqrt(np.nanmean((given.astype(float) - hole) ** 2, 2)).mean(0)[
                [0, 1, 3, 4]
            ]
        ]
        rows = np.asarray(got["a"].by_row)[[0, 1, 3, 4]]
        assert any(np.allclose(rows, o, rtol=1e-4) for o in options), (
            f"{rows} for one of {options}"
        )

    return Case(
        "of four draws",
        lambda folder: cs.reconstruction_error(data, {"a": given}),
        right,
        None,
    )
