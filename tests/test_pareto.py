"""k̂ against ArviZ, and where there is no tail to speak of."""

import jax
import numpy as np
import pytest
from arviz_stats.base import array_stats

from consilience.inference.pareto import pareto_k, tail_size

LAWS = {
    "light": lambda g, size: 0.3 * g.normal(size=size),
    "normal": lambda g, size: 1.5 * g.normal(size=size),
    "heavy": lambda g, size: 0.9 * g.exponential(size=size),
    "very heavy": lambda g, size: 2.0 * g.exponential(size=size) - 700.0,
    "bounded": lambda g, size: np.log(g.uniform(0.5, 1.0, size=size)),
}
SHAPE_OF = jax.jit(pareto_k, static_argnums=1)


def ours(log_w):
    """k̂ of log weights `[K, ...]` from their tail."""
    size = tail_size(len(log_w)) + 1
    largest = -np.partition(-log_w, size - 1, 0)[:size]
    return np.asarray(SHAPE_OF(largest, len(log_w)))


def arviz(log_w):
    return [array_stats.psislw(-column)[1] for column in log_w.T.astype(float)]


@pytest.mark.parametrize("num_samples", [1000, 5000])
@pytest.mark.parametrize("name", LAWS)
def test_agrees_with_arviz(name, num_samples, x64):
    log_w = LAWS[name](np.random.default_rng(num_samples), (num_samples, 5))
    np.testing.assert_allclose(ours(log_w), arviz(log_w), atol=1e-3)


def test_agrees_with_arviz_in_float32():
    log_w = LAWS["heavy"](np.random.default_rng(1), (1000, 5)).astype(np.float32)
    np.testing.assert_allclose(ours(log_w), arviz(log_w), atol=1e-3)


@pytest.mark.parametrize("k", [0.2, 0.7, 1.2])
def test_finds_the_shape_of_a_pareto_tail(k, x64):
    """Weights U^-k have the tail k; the estimate's s.d. is about (1 + k)/√tail."""
    log_w = k * np.random.default_rng(3).exponential(size=(20_000, 13))
    tail = tail_size(len(log_w))
    error, shrinkage = (1 + k) / np.sqrt(13 * tail), 10 / (10 + tail) * abs(k - 0.5)
    assert abs(ours(log_w).mean() - k) <= 4.5 * error + shrinkage


@pytest.mark.parametrize("level", [0.0, -3000.0, 700.0])
def test_constant_weights_have_no_tail(level):
    noise = 1e-7 * np.random.default_rng(0).normal(size=(1000, 3)) * (1 + abs(level))
    for log_w in (np.full((1000, 3), level), level + noise):
        np.testing.assert_array_equal(ours(log_w.astype(np.float32)), -np.inf)


def test_one_giant_above_ties_is_no_pareto_tail():
    """Never a small k̂, never NaN."""
    log_w = np.zeros((1000, 2), np.float32)
    log_w[0] = 30.0
    np.testing.assert_array_equal(ours(log_w), np.inf)


def test_ties_at_the_top_agree_with_arviz(x64):
    log_w = np.repeat(np.random.default_rng(5).normal(size=(250, 3)), 4, 0)
    np.testing.assert_allclose(ours(log_w), arviz(log_w), atol=1e-3)


def test_needs_30_samples():
    log_w = np.random.default_rng(0).normal(size=(30, 3)).astype(np.float32)
    assert np.isfinite(ours(log_w)).all()
    assert np.isnan(ours(log_w[:29])).all()


def test_shift_order_and_batch_change_nothing(x64):
    log_w = np.random.default_rng(7).normal(size=(1000, 2, 3))
    k = ours(log_w)
    loop = [[ours(log_w[:, i, j]) for j in range(3)] for i in range(2)]
    np.testing.assert_allclose(k, loop, rtol=1e-10)
    np.testing.assert_allclose(ours(log_w[::-1] - 500.0), k, rtol=1e-9)


def test_tail_size_is_vehtaris():
    sizes = {24: 4, 25: 5, 100: 20, 225: 45, 1000: 94, 5000: 212}
    assert {n: tail_size(n) for n in sizes} == sizes
