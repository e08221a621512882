r"""Rates and distortions: how much a latent says, and how well it is said back."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.contract import inspect
from consilience.inference.estimators import STL, AnalyticKL, Estimator
from consilience.inference.terms import Evaluation, Views
from consilience.nn.executables import Program
from consilience.nn.sizes import check_positive

ESTIMATOR = AnalyticKL(otherwise=STL())


class RowRates(NamedTuple):
    r"""Of each row, for one S (Hirt et al. 2024, section 2.2); nats.

    Attributes:
        full_reconstruction: `[N, M]`, E_{q(z|x_O)} log p(x_s | z); zero where absent.
        full_rate: `[N]`, KL(q(z|x_O) ‖ p(z)).
        reconstruction: `[N, M]`, E_{q(z|x_S)} log p(x_s | z): of s in S what a row says
            of itself, of others the cross reconstruction; zero where absent.
        rate: `[N]`, KL(q(z|x_S) ‖ p(z)).
        cross_rate: `[N]`, KL(q(z|x_O) ‖ q(z|x_S)).
    """

    full_reconstruction: Float[Array, "rows modalities"]
    full_rate: Float[Array, " rows"]
    reconstruction: Float[Array, "rows modalities"]
    rate: Float[Array, " rows"]
    cross_rate: Float[Array, " rows"]


class Estimated(NamedTuple):
    """Estimates and their standard errors.

    Attributes:
        value: the estimates.
        standard_error: of Monte Carlo sampling, of the same shapes; zero where there is a
            closed form, nan with a single draw.
    """

    value: RowRates
    standard_error: RowRates


def row_rates(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"],
    *,
    num_samples: int = 100,
    estimator: Estimator = ESTIMATOR,
    chunk_size: int = 200,
) -> Estimated:
    """Reconstructions and rates of each row, from `num_samples` draws of q.

    KL terms have a closed form where NumPyro knows one. Reconstructions are in the units
    of the unscaled data. Global latents are drawn from the guide.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, S.
        num_samples: draws a row.
        estimator: of the KL terms.
        chunk_size: rows at once.
    """
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    sites = inspect(model, guide, params, data, stratified=estimator.stratified)
    program = Program(partial(_rows, estimator, model, guide, sites, num_samples))

    def work(key, rows, members):
        return program(key, params, rows, members)

    value, error = over_rows(work, rng_key, data, subset, chunk_size)
    jacobian = jnp.stack(
        [data.log_jacobian(data.subset_of(name)) for name in data.names], -1
    )
    value = value._replace(
        full_reconstruction=value.full_reconstruction + jacobian,
        reconstruction=value.reconstruction + jacobian,
    )
    return Estimated(value, error)


def _rows(estimator, model, guide, sites, num_samples, rng_key, params, data, subset):
    """Mean and standard error over draws, one draw in memory at a time."""
    count = jnp.ones((2, data.size))
    views = Views(
        subsets=jnp.stack([data.present, subset]),
        score=jnp.broadcast_to(data.present, (2, *data.present.shape)),
        weight=count,
        cross=((0, 1),),
        cross_weight=count[:1],
    )

    def one(key) -> RowRates:
        key_shared, key_rows = jax.random.split(key)
        shared = programs.draw_shared(key_shared, guide, params, data, sites)
        inputs = (estimator, model, guide, params, data, sites, shared)
        found = Evaluation(*inputs, lambda *a: a[-1], lambda *a: a[-1])(key_rows, views)
        return _of_draw(found, data)

    def step(state, key):  # Welford's
        count, mean, square = state
        found, count = one(key), count + 1
        moved = jax.tree.map(lambda m, x: m + (x - m) / count, mean, found)
        square = jax.tree.map(
            lambda s, x, m, n: s + (x - m) * (x - n), square, found, mean, moved
        )
        return (count, moved, square), None

    keys = jax.random.split(rng_key, num_samples)
    empty = jax.eval_shape(one, keys[0])
    zero = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), empty)
    (_, mean, square), _ = jax.lax.scan(step, (0.0, zero, zero), keys)
    scale = num_samples * (num_samples - 1)
    error = (lambda s: jnp.sqrt(s / scale)) if scale else (lambda s: s + jnp.nan)
    return mean, jax.tree.map(error, square)


def _of_draw(found, data) -> RowRates:
    """Strata are weighted: `[K, V, N]` log-weights of `[K, V, N, ...]` terms."""
    weight = jnp.exp(found.log_weights)
    log_x = (weight[..., None] * found.terms.log_x).sum(0)
    log_x = jnp.where(data.present, log_x, 0.0)
    kl = (weight * found.terms.kl_prior).sum(0)
    cross = (weight[:, 0] * found.terms.kl_cross[:, 0]).sum(0)
    return RowRates(log_x[0], kl[0], log_x[1], kl[1], cross)
