"""Predictions of single entries: their densities, and intervals that should cover."""

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import check_subset, over_rows
from consilience.inference.contract import inspect
from consilience.inference.draws import sampler
from consilience.inference.posterior import generate
from consilience.nn.executables import Program, traced_once
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive, check_within


@checked_kinds
def predictive_log_density(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    truth: Mapping[str, np.ndarray | Array],
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    num_samples: int = 1000,
    chunk_size: int = 200,
) -> dict[str, Float[np.ndarray, "rows ..."]]:
    """log p(x_tj | x_S) ≈ log 1/K Σ_k p(x_tj | z_k), z_k ~ q(z | x_S), entry by entry.

    A proper predictive density for any q, of each entry by itself: to score held-out
    entries, leave them out of `data` and give them here. The logarithm of the mean is
    biased downwards by about its Monte Carlo variance over 2.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows, without what is to be predicted.
        truth: by modality, `[N, *event]`, in the units of the unscaled data; NaN for
            entries that nobody asks for.
        subset: `[N, M]`, what to condition on; None means all that is present.
        num_samples: K.
        chunk_size: rows at once.

    Returns:
        by modality of `truth`, `[N, *event]` (without the axes that a likelihood has a
        joint law over, as for one-hot values), nats, in the units of the unscaled data;
        NaN where `truth` is, in any part of such a law.

    Raises:
        TypeError: `truth` is no mapping.
        ValueError: `truth` names other modalities, or has other shapes.
    """
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    inspect(model, guide, params, data)
    wanted = _checked(truth, data)
    if data.standardization is not None:
        wanted = data.standardization.apply(wanted)
    densities = Program(partial(_densities, model, guide, num_samples))
    wanted = {name: jnp.asarray(x) for name, x in wanted.items()}

    def work(key, rows, members, wanted):
        return densities(key, params, rows, members, wanted)

    found = over_rows(work, rng_key, data, subset, chunk_size, also=(wanted,))
    return {n: _in_first_units(x, data, n, wanted[n]) for n, x in found.items()}


def _checked(truth: Mapping, data: MultimodalData) -> dict[str, Array | np.ndarray]:
    if not isinstance(truth, Mapping):
        raise TypeError(
            "truth: expected values by modality, such as {'a': array}, got "
            f"{type(truth).__name__}"
        )
    shapes = dict(zip(data.names, data.event_shapes, strict=True))
    for name, value in truth.items():
        expected = (data.size, *shapes[data.names[data.index(name)]])
        if np.shape(value) != expected:
            raise ValueError(
                f"truth: {name!r}: expected the shape {expected}, got {np.shape(value)}"
            )
        log = () if data.standardization is None else data.standardization.log
        if name in log and np.any(np.asarray(value) <= -1):
            raise ValueError(
                f"truth: {name!r}: expected values above −1, since log(1 + x) was "
                f"standardised, got {np.nanmin(value)}"
            )
    return {
        n: x if isinstance(x, jax.Array) else np.asarray(x) for n, x in truth.items()
    }


def _in_first_units(log_p, data: MultimodalData, name: str, wanted) -> np.ndarray:
    scaled = data.standardization
    if scaled is None or name not in scaled.scale:
        return np.asarray(log_p)
    term = scaled.log_derivative(name, wanted)
    joint = term.ndim - log_p.ndim  # axes that the likelihood has a law over
    return np.asarray(log_p + term.sum(tuple(range(-joint, 0))))


def _densities(model, guide, num_samples, rng_key, params, data, subset, truth):
    sample = sampler(rng_key, guide, params, data, subset)
    missing = {name: _missing(x) for name, x in truth.items()}
    filled = {
        name: jnp.where(missing[name], 0, x).astype(data.values[name].dtype)
        for name, x in truth.items()
    }

    def one(key):
        key_guide, key_model = jax.random.split(key)
        latents, rows = sample(key_guide).latents, data.without_values()
        trace = programs.run(model, params, key_model, latents, rows)
        return {
            name: programs.entrywise(trace[name]["fn"]).log_prob(x)
            for name, x in filled.items()
        }

    def step(total, key):
        return jax.tree.map(jnp.logaddexp, total, one(key)), None

    keys = jax.random.split(rng_key, num_samples)
    empty = jax.eval_shape(one, keys[0])
    nothing = jax.tree.map(lambda x: jnp.full(x.shape, -jnp.inf, x.dtype), empty)
    total, _ = jax.lax.scan(step, nothing, keys)
    return {
        name: jnp.where(_like(missing[name], x), jnp.nan, x - jnp.log(num_samples))
        for name, x in total.items()
    }


def _missing(x: Array) -> Bool[Array, "rows ..."]:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return jnp.isnan(x)
    return jnp.zeros(x.shape, bool)


def _like(missing: Array, log_p: Array) -> Array:
    """Without event axes of the likelihood, as in one-hot values."""
    return missing.any(tuple(range(log_p.ndim, missing.ndim)))


AT_ONCE = 50_000_000  # numbers drawn, 200 MB


class Intervals(NamedTuple):
    """Central predictive intervals, entry by entry.

    Attributes:
        lower: by modality, `[N, *event]`, in the units of the unscaled data.
        upper: likewise.
        probability: that each should cover.
    """

    lower: dict[str, Shaped[np.ndarray, "rows ..."]]
    upper: dict[str, Shaped[np.ndarray, "rows ..."]]
    probability: float

    def coverage(self, truth: Mapping[str, np.ndarray | Array]) -> dict[str, float]:
        """Share of the entries of `truth` (NaN: not asked for) that lie within.

        Raises:
            ValueError: a modality of `truth` is unknown, has another shape or no entry.
        """
        return {name: self._covered(name, np.asarray(x)) for name, x in truth.items()}

    def _covered(self, name: str, truth: np.ndarray) -> float:
        if name not in self.lower:
            raise ValueError(
                f"truth: expected one of {', '.join(self.lower)}, got {name!r}"
            )
        lower, upper = self.lower[name], self.upper[name]
        asked = np.asarray(~np.isnan(truth))
        if truth.shape != lower.shape or not asked.any():
            raise ValueError(
                f"truth: {name!r}: expected entries of shape {lower.shape}, got "
                f"{truth.shape} with {int(asked.sum())} of them"
            )
        return float(((lower <= truth) & (truth <= upper))[asked].mean())


@checked_kinds
@traced_once()
def predictive_intervals(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    probability: float = 0.9,
    num_samples: int = 1000,
    chunk_size: int = 200,
) -> Intervals:
    """Central intervals of x_t ~ p(x_t | z), z ~ q(z | x_S), from quantiles of draws.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows, without what is to be predicted.
        subset: `[N, M]`, what to condition on; None means all that is present.
        probability: of each interval, between 0 and 1.
        num_samples: draws that quantiles are taken of.
        chunk_size: rows at once at most; fewer where draws would take 200 MB.

    Raises:
        ValueError: `probability` is out of range.
    """
    check_within("probability", probability, 0, 1)
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    inspect(model, guide, params, data)
    subset, levels = check_subset(data, subset), [(1 - probability) / 2]
    levels.append(1 - levels[0])
    parts = []
    size = _rows_at_once(data, num_samples, chunk_size)
    for i, start in enumerate(range(0, data.size, size)):
        rows = np.minimum(np.arange(start, start + size), data.size - 1)  # one shape
        fixed = (model, guide, params, data.bare().take(rows), subset[rows])
        key = jax.random.fold_in(rng_key, i)
        draws = generate(key, *fixed, num_samples=num_samples, chunk_size=chunk_size)
        parts.append(
            {n: np.quantile(np.asarray(x), levels, axis=0) for n, x in draws.items()}
        )
    both = {
        name: np.concatenate([part[name] for part in parts], 1)[:, : data.size]
        for name in parts[0]
    }
    lower, upper = ({name: x[i] for name, x in both.items()} for i in (0, 1))
    return Intervals(lower, upper, probability)


def _rows_at_once(data: MultimodalData, num_samples: int, chunk_size: int) -> int:
    width = sum(math.prod(shape) for shape in data.event_shapes)
    return max(1, min(chunk_size, data.size, AT_ONCE // (num_samples * width)))
