"""Is the amortised posterior right? Row by row against NUTS on the same model."""

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Key
from numpyro.diagnostics import effective_sample_size

from consilience.datasets.data import MultimodalData
from consilience.evaluation.distances import energy_distance, sliced_wasserstein
from consilience.evaluation.reference_posterior import (
    Chains,
    ReferencePosterior,
    flattened,
    reference_posterior,
)
from consilience.inference.contract import inspect
from consilience.inference.posterior import posterior
from consilience.nn.kinds import checked_kinds

if TYPE_CHECKING:
    from pandas import DataFrame

COMPARED, SPLITS, FLOOR = 250, 20, 0.95


class Distance(NamedTuple):
    """A distance between guide and reference, and what chance alone gives.

    Attributes:
        value: `[N]`, between draws of the guide and half of NUTS's.
        floor: `[N]`, what one in twenty random splits of NUTS's draws into halves exceeds.
    """

    value: Float[np.ndarray, " rows"]
    floor: Float[np.ndarray, " rows"]


class PosteriorCheck(NamedTuple):
    """q(z | x_S) against NUTS; everything in units of the reference's scale.

    Attributes:
        mean_error: `[N, D]`, (mean of q − mean of p) / standard deviation of p.
        mean_standard_error: its Monte Carlo error.
        scale_error: `[N, D]`, log of q's standard deviation over p's: below 0 q is too
            narrow.
        scale_standard_error: its Monte Carlo error.
        energy: squared energy distance, and its floor.
        sliced_wasserstein: likewise.
        guide: `[N, draws, D]`, the draws of q.
        reference: NUTS, with its diagnostics.
    """

    mean_error: Float[np.ndarray, "rows dims"]
    mean_standard_error: Float[np.ndarray, "rows dims"]
    scale_error: Float[np.ndarray, "rows dims"]
    scale_standard_error: Float[np.ndarray, "rows dims"]
    energy: Distance
    sliced_wasserstein: Distance
    guide: Float[np.ndarray, "rows draws dims"]
    reference: ReferencePosterior

    def to_pandas(self) -> "DataFrame":
        """One line a coordinate: root mean square errors over rows, and what noise gives."""
        import pandas as pd

        rms = lambda x: np.sqrt(np.square(x).mean(0))  # noqa: E731
        columns = {
            "mean error": rms(self.mean_error),
            "its noise": rms(self.mean_standard_error),
            "log scale error": self.scale_error.mean(0),
            "spread of it": self.scale_error.std(0),
            "noise of it": rms(self.scale_standard_error),
            "largest r_hat": self.reference.r_hat.max(0),
        }
        index = pd.Index(self.reference.dimensions, name="coordinate")
        return pd.DataFrame(columns, index=index)


@checked_kinds
def check_posterior(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    chains: Chains = Chains(),  # noqa: B008 (a tuple)
    num_samples: int = 2000,
) -> PosteriorCheck:
    """Compare q(z | x_S) with p(z | x_S) of the same model, row by row.

    Errors of posteriors that have several modes are only as good as NUTS is at finding
    them: look at r̂. Where q is exact about one row in twenty is above its floor; draws of
    NUTS that are far from independent push more of them there.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows, a few of all: `data.take(rows)`.
        subset: `[N, M]`, what to condition on; None means all that is present.
        chains: number and length of the chains of NUTS.
        num_samples: draws of the guide, 2 or more.

    Raises:
        ValueError: as `reference_posterior`; `num_samples` is below 2.

    Warns:
        UserWarning: NUTS itself did not converge.
    """
    if num_samples < 2:
        raise ValueError(f"num_samples: expected 2 or more, got {num_samples}")
    inspect(model, guide, params, data)
    key_guide, key_reference, key_distance = jax.random.split(rng_key, 3)
    reference = reference_posterior(
        key_reference, model, params, data, subset, chains=chains
    )
    draws = posterior(key_guide, guide, params, data, subset, num_samples=num_samples)
    names, flat = flattened(draws, 2)
    order = [names.index(name) for name in reference.dimensions]
    q = np.moveaxis(flat[..., order], 0, 1)
    energy, sliced = _distances(key_distance, q, reference.draws)
    return PosteriorCheck(*_errors(q, reference), energy, sliced, q, reference)


def _errors(q: np.ndarray, reference: ReferencePosterior):
    """Errors of mean and log standard deviation, each with its Monte Carlo error."""
    q, p = q.astype(float), reference.draws.astype(float)
    pooled = p.reshape(len(p), -1, p.shape[-1])
    center, spread = pooled.mean(1), pooled.std(1)
    square = (p - center[:, None, None]) ** 2
    size = reference.effective_sample_size
    size_of_square = effective_sample_size(np.moveaxis(square, 0, 2))
    ratio = q.std(1) / spread
    return (
        (q.mean(1) - center) / spread,
        np.sqrt(1 / size + ratio**2 / q.shape[1]),
        np.log(ratio),
        np.sqrt(_of_log_scale(pooled) / size_of_square + _of_log_scale(q) / q.shape[1]),
    )


def _of_log_scale(draws: np.ndarray) -> np.ndarray:
    """Variance of log s times the number of draws: (kurtosis − 1) / 4."""
    z = (draws - draws.mean(1, keepdims=True)) / draws.std(1, keepdims=True)
    return ((z**4).mean(1) - 1) / 4


def _distances(rng_key, q: np.ndarray, p: np.ndarray) -> tuple[Distance, Distance]:
    """To one half of the reference, of the guide and of the other half."""
    pooled = p.reshape(len(p), -1, p.shape[-1])
    scale = pooled.std(1)[:, None]
    count = min(COMPARED, pooled.shape[1] // 2, q.shape[1])
    sets = _evenly(q / scale, count), _evenly(pooled / scale, 2 * count)
    value, split = _compare(rng_key, *map(jnp.asarray, sets))
    floor = [np.quantile(x, FLOOR, axis=1) for x in split]
    return tuple(Distance(np.asarray(v), f) for v, f in zip(value, floor, strict=True))


def _evenly(draws: np.ndarray, count: int) -> np.ndarray:
    return draws[:, np.linspace(0, draws.shape[1] - 1, count).astype(int)]


@jax.jit
def _compare(rng_key, q, p):
    """Energy and sliced Wasserstein, `[N]` to the guide and `[N, SPLITS]` within NUTS."""

    def both(key, x, y):
        return energy_distance(x, y), sliced_wasserstein(key, x, y)

    def row(inputs):
        key, q, p = inputs
        key_sliced, key_order = jax.random.split(key)

        def split(key):
            one, other = jnp.split(jax.random.permutation(key, p), 2)
            return both(key_sliced, one, other)

        half = jax.random.permutation(key_order, p)[: len(q)]
        splits = jax.lax.map(split, jax.random.split(key_order, SPLITS))
        return both(key_sliced, q, half), splits

    return jax.lax.map(row, (jax.random.split(rng_key, len(q)), q, p))
