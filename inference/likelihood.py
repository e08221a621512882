"""Importance-sampled log-likelihoods with their diagnostics."""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float, Int, Key

from consilience.datasets.data import MultimodalData
from consilience.inference.chunks import check_subset, over_rows
from consilience.inference.contract import inspect, require_data
from consilience.inference.draws import weigher
from consilience.inference.pareto import pareto_k, tail_size, threshold
from consilience.inference.reliability import Reliability, reliability
from consilience.nn.executables import Program, traced_once
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


class LogLikelihood(NamedTuple):
    """An importance-sampled log-likelihood, per row.

    Attributes:
        value: log p̂(x_S) in nats, over the units of the unscaled data. p̂ is unbiased; the
            mean of its logarithm over draws lies below log p, by about standard_error² / 2
            while k̂ is small. That is no correction of single rows: weights without large
            ones among them leave k̂ small and `value` low, one giant both high.
        standard_error: of `value`, by the delta method.
        effective_sample_size: (Σ w)² / Σ w², between 1 and K.
        pareto_k: k̂ of the weights' tail; see `reliable`.
        counts: rows that have any of what was asked for; the others' value is 0. None: all.
        num_samples: K of each row, None where unknown.
    """

    value: Float[Array, " rows"]
    standard_error: Float[Array, " rows"]
    effective_sample_size: Float[Array, " rows"]
    pareto_k: Float[Array, " rows"]
    counts: Bool[Array, " rows"] | None = None
    num_samples: Int[Array, " rows"] | None = None

    @property
    def reliable(self) -> Bool[np.ndarray, " rows"]:
        """Rows with k̂ up to its threshold, min(1 − 1/log₁₀ K, 0.7) (Vehtari et al. 2024).

        Elsewhere `value` may be further off than `standard_error` says, to either side.
        """
        return np.asarray(self.pareto_k) <= threshold(self.num_samples)

    @property
    def samples(self) -> int | None:
        """K, the least of all rows; None where unknown."""
        return None if self.num_samples is None else int(np.min(self.num_samples))

    def counted(self) -> Float[np.ndarray, "figures rows"]:
        """The four figures of the rows that count, as doubles."""
        columns = np.array([np.asarray(x, float) for x in self[:4]])
        return columns if self.counts is None else columns[:, np.asarray(self.counts)]

    def summary(self) -> Reliability:
        """The mean over rows that count; warns where many of them are not `reliable`.

        Raises:
            ValueError: no row counts.
        """
        return reliability(*self.counted(), self.samples, of=len(self.value))


@checked_kinds
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
    As in `posterior`, draws follow the place of a row: in another order of rows its
    estimate is another one, within its standard error.

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
    program = Program(partial(_rows, model, guide, (blocks, samples_at_once, rest)))

    def work(key, rows, members):
        return program(key, params, rows, members)

    result = over_rows(work, rng_key, data, subset, chunk_size)
    return of_rows(result, data, subset)


def of_rows(found: LogLikelihood, data: MultimodalData, subset) -> LogLikelihood:
    """In the units of the unscaled data, and which rows have any of the subset."""
    subset = data.subset(subset)
    value = found.value + data.log_jacobian(subset)
    return found._replace(value=value, counts=subset.any(-1))


@checked_kinds
@traced_once()
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
    require_data(data)
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
        counts,
        joint.num_samples,
    )


class _Running(NamedTuple):
    """What is kept of all weights so far.

    Sums are relative to the largest weight: at log p = −40 000 a sum of logarithms would
    have steps of 0.004 in single precision, and stop growing. Sorting is dear: weights wait
    until there are as many of them as are kept.
    """

    top: Float[Array, " rows"]  # max log w
    total: Float[Array, " rows"]  # Σ w / max w
    square: Float[Array, " rows"]  # Σ (w / max w)²
    largest: Float[Array, "tail rows"]  # of log w, but for those that wait
    waiting: Float[Array, "blocks samples rows"]

    @staticmethod
    def empty(num_samples: int, block: int, rows: int) -> "_Running":
        keep = min(tail_size(num_samples) + 1, num_samples)
        wait = (max(1, keep // block), block)
        zero, nothing = jnp.zeros(rows), partial(jnp.full, fill_value=-jnp.inf)
        return _Running(
            nothing(rows), zero, zero, nothing((keep, rows)), nothing((*wait, rows))
        )

    def add(self, log_w: Float[Array, "samples rows"]) -> "_Running":
        """Count a block in the sums."""
        top = jnp.maximum(self.top, log_w.max(0))
        base = jnp.where(jnp.isneginf(top), 0.0, top)  # nothing but weights of zero
        w, scale = jnp.exp(log_w - base), jnp.exp(self.top - base)
        total = self.total * scale + w.sum(0)
        square = self.square * scale**2 + (w**2).sum(0)
        return self._replace(top=top, total=total, square=square)

    def sorted(self, *more: Float[Array, "samples rows"]) -> "_Running":
        """Nothing waits any longer."""
        waiting = self.waiting.reshape(-1, self.waiting.shape[-1])
        both = jnp.concatenate([self.largest, waiting, *more])
        largest = lax.top_k(both.T, len(self.largest))[0].T
        empty = jnp.full_like(self.waiting, -jnp.inf)
        return self._replace(largest=largest, waiting=empty)


def _rows(model, guide, sizes, rng_key, params, data, subset) -> LogLikelihood:
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
    effective = running.total**2 / running.square
    effective = jnp.clip(effective, 1.0, num_samples)  # beyond: rounding
    return LogLikelihood(
        value=running.top + jnp.log(running.total / num_samples),
        standard_error=jnp.sqrt(jnp.maximum(1 / effective - 1 / num_samples, 0.0)),
        effective_sample_size=effective,
        pareto_k=pareto_k(running.largest, num_samples),
        num_samples=jnp.full(effective.shape, num_samples),
    )
