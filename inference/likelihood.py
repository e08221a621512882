"""Importance-sampled log-likelihoods with their diagnostics."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.nn import logsumexp
from jaxtyping import Array, Bool, Float, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.chunks import check_subset, over_rows
from consilience.inference.contract import inspect
from consilience.inference.draws import weigher
from consilience.inference.pareto import pareto_k, tail_size
from consilience.inference.reliability import Reliability, reliability
from consilience.nn.sizes import check_positive


class LogLikelihood(NamedTuple):
    """An importance-sampled log-likelihood, per row.

    Attributes:
        value: log p̂(x_S) in nats, over the units of the unscaled data. p̂ is unbiased,
            its logarithm is biased downwards by about standard_error² / 2.
        standard_error: of `value`, by the delta method.
        effective_sample_size: (Σ w)² / Σ w², between 1 and K.
        pareto_k: k̂ of the weights' tail; above 0.7 `value` is not to be trusted.
    """

    value: Float[Array, " rows"]
    standard_error: Float[Array, " rows"]
    effective_sample_size: Float[Array, " rows"]
    pareto_k: Float[Array, " rows"]

    def summary(self) -> Reliability:
        """The mean over rows with its errors; warns where k̂ is large in many rows."""
        return reliability(*self)


def log_likelihood(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_samples: int = 1000,
    chunk_size: int = 500,
    samples_at_once: int = 100,
) -> LogLikelihood:
    """log p(x_S) ≈ log 1/K Σ_k p(x_S, z^k) / q(z^k | x_S) (Hirt et al. 2024, appendix I).

    For any subset and for incomplete rows; `conditional_log_likelihood` has
    log p(x_T | x_S). A row whose S is empty has log-likelihood 0. Global latents are
    drawn from the guide and stay unweighted: then it is the posterior predictive density.

    Args:
        rng_key: random key.
        model: p(x, z), `model(data, subset=None)`.
        guide: q(z | x_S), `guide(data, subset=None)`.
        params: trained parameters of both.
        data: N rows.
        subset: `[N, M]`, what to take the likelihood of; None means all that is present.
        num_samples: K.
        chunk_size: rows at once. Memory goes with chunk_size · samples_at_once.
        samples_at_once: samples at once; the last ones may be fewer.
    """
    check_positive(
        num_samples=num_samples, chunk_size=chunk_size, samples_at_once=samples_at_once
    )
    inspect(model, guide, params, data)
    blocks, rest = divmod(num_samples, samples_at_once)
    sizes = (blocks, samples_at_once, rest)

    def work(key, rows, members):
        return _rows(key, model, guide, params, rows, members, sizes)

    result = over_rows(work, rng_key, data, subset, chunk_size)
    jacobian = data.log_jacobian(None if subset is None else data.subset(subset))
    return result._replace(value=result.value + jacobian)


def conditional_log_likelihood(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    target: Bool[Array, "rows modalities"],
    given: Bool[Array, "rows modalities"],
    **settings,
) -> LogLikelihood:
    """log p(x_T | x_S) = log p(x_T, x_S) − log p(x_S), each by importance sampling.

    The errors of the two are independent and add up; effective sample size and k̂ are the
    worse of the two. A row without any of T has the value 0. Being a difference, it is
    biased upwards where log p(x_S) is the harder one, downwards where the joint is.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        target: `[N, M]`, T.
        given: `[N, M]`, S; rows without any are unconditional.
        settings: `num_samples`, `chunk_size`, `samples_at_once` of `log_likelihood`.

    Raises:
        ValueError: T and S overlap in a row; a subset has another shape than `present`.
    """
    target, given = check_subset(data, target), check_subset(data, given)
    both = np.asarray(target & given)
    if both.any():
        row, column = np.argwhere(both)[0]
        raise ValueError(
            "target and given: expected no modality in both, got "
            f"{data.names[column]!r} in row {row}"
        )
    keys, programs = jax.random.split(rng_key), (model, guide, params, data)
    joint = log_likelihood(keys[0], *programs, target | given, **settings)
    known = log_likelihood(keys[1], *programs, given, **settings)
    counts = target.any(-1)
    return LogLikelihood(
        jnp.where(counts, joint.value - known.value, 0.0),
        jnp.where(counts, jnp.hypot(joint.standard_error, known.standard_error), 0.0),
        jnp.minimum(joint.effective_sample_size, known.effective_sample_size),
        jnp.where(counts, jnp.maximum(joint.pareto_k, known.pareto_k), -jnp.inf),
    )


class _Running(NamedTuple):
    """What is kept of all weights so far.

    Sorting is dear: weights wait until there are as many of them as are kept.
    """

    log_sum: Float[Array, " rows"]  # log Σ w
    log_square: Float[Array, " rows"]  # log Σ w²
    largest: Float[Array, "tail rows"]  # of log w, but for those that wait
    waiting: Float[Array, "blocks samples rows"]

    @staticmethod
    def empty(num_samples: int, block: int, rows: int) -> "_Running":
        keep = min(tail_size(num_samples) + 1, num_samples)
        wait = (max(1, keep // block), block)
        nothing = partial(jnp.full, fill_value=-jnp.inf)
        return _Running(
            *(nothing(s) for s in (rows, rows, (keep, rows), (*wait, rows)))
        )

    def add(self, log_w: Float[Array, "samples rows"]) -> "_Running":
        """Count a block in the sums."""
        log_sum = jnp.logaddexp(self.log_sum, logsumexp(log_w, 0))
        log_square = jnp.logaddexp(self.log_square, logsumexp(2 * log_w, 0))
        return self._replace(log_sum=log_sum, log_square=log_square)

    def sorted(self, *more: Float[Array, "samples rows"]) -> "_Running":
        """Nothing waits any longer."""
        waiting = self.waiting.reshape(-1, self.waiting.shape[-1])
        both = jnp.concatenate([self.largest, waiting, *more])
        largest = lax.top_k(both.T, len(self.largest))[0].T
        empty = jnp.full_like(self.waiting, -jnp.inf)
        return self._replace(largest=largest, waiting=empty)


@partial(jax.jit, static_argnames=("model", "guide", "sizes"))
def _rows(rng_key, model, guide, params, data, subset, sizes) -> LogLikelihood:
    blocks, block, rest = sizes
    num_samples = blocks * block + rest
    weigh = weigher(rng_key, model, guide, params, data, subset)

    def weights(key, size=block):
        return jax.vmap(weigh)(jax.random.split(key, size)).log_weight

    def step(running, now):
        index, key = now
        log_w = weights(key)
        running, place = running.add(log_w), index % len(running.waiting)
        running = running._replace(waiting=running.waiting.at[place].set(log_w))
        full = place == len(running.waiting) - 1
        return lax.cond(full, _Running.sorted, lambda r: r, running), None

    keys = jax.random.split(rng_key, blocks + 1)
    running = _Running.empty(num_samples, block, data.size)
    running, _ = lax.scan(step, running, (jnp.arange(blocks), keys[:blocks]))
    last = [weights(keys[blocks], rest)] if rest else []
    for log_w in last:
        running = running.add(log_w)
    return _summary(running.sorted(*last), num_samples)


def of_weights(log_w: Float[Array, "samples rows"]) -> LogLikelihood:
    """The estimate that all weights at once give."""
    running = _Running.empty(len(log_w), 1, log_w.shape[1])
    return _summary(running.add(log_w).sorted(log_w), len(log_w))


def _summary(running: _Running, num_samples: int) -> LogLikelihood:
    effective = jnp.exp(2 * running.log_sum - running.log_square)
    effective = jnp.clip(effective, 1.0, num_samples)  # beyond: rounding
    return LogLikelihood(
        value=running.log_sum - jnp.log(num_samples),
        standard_error=jnp.sqrt(jnp.maximum(1 / effective - 1 / num_samples, 0.0)),
        effective_sample_size=effective,
        pareto_k=pareto_k(running.largest, num_samples),
    )
