"""Mean and standard deviation of features in float64, piece by piece.

The same numbers in the same order for rows in memory and on disk: both scale alike to the
bit.
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from consilience.datasets.precision import NOISE
from consilience.datasets.standardization import Standardization

BLOCK = 2**24  # bytes that are looked at together
Block = Mapping[str, tuple[np.ndarray, np.ndarray]]  # values and observed, by modality


def pieces(
    size: int, event_shapes: Sequence[tuple[int, ...]]
) -> Iterator[tuple[int, int]]:
    """First and last row of pieces of a few megabytes."""
    rows = max(1, BLOCK // max(8 * sum(map(math.prod, event_shapes)), 1))
    for start in range(0, size, rows):
        yield start, min(start + rows, size)


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations of each feature's observed entries.

    Attributes:
        count: `[*event]`.
        mean: `[*event]`, zero where nothing was observed.
        squares: `[*event]`.
        low, high: `[*event]`, the smallest and the largest; ∞ and −∞ of none.
    """

    count: Float[np.ndarray, "..."]
    mean: Float[np.ndarray, "..."]
    squares: Float[np.ndarray, "..."]
    low: Float[np.ndarray, "..."]
    high: Float[np.ndarray, "..."]

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "rows ..."],
        observed: Bool[np.ndarray, "rows ..."],
    ) -> "Moments":
        """Those of one block, in two passes over it."""
        count = np.asarray(observed.sum(0, dtype=np.float64))
        with np.errstate(over="ignore", invalid="ignore"):
            mean = np.asarray(np.sum(x, 0, where=observed) / np.maximum(count, 1))
            squares = np.asarray(np.sum((x - mean) ** 2, 0, where=observed))
        low = np.min(x, 0, where=observed, initial=np.inf)
        high = np.max(x, 0, where=observed, initial=-np.inf)
        return cls(count, mean, squares, np.asarray(low), np.asarray(high))

    def merge(self, other: "Moments") -> "Moments":
        """Those of both (Chan, Golub & LeVeque 1983, eq. 2.1)."""
        with np.errstate(over="ignore", invalid="ignore"):
            count = self.count + other.count
            share = other.count / np.maximum(count, 1)
            step = other.mean - self.mean
            # M₂ = M₂ᵃ + M₂ᵇ + δ² nᵃ nᵇ / n
            squares = self.squares + other.squares + step**2 * self.count * share
            low = np.minimum(self.low, other.low)
            high = np.maximum(self.high, other.high)
            parts = (count, self.mean + step * share, squares, low, high)
        return Moments(*map(np.asarray, parts))

    def varies(self) -> Bool[np.ndarray, "..."]:
        """Where values differ by more than arithmetic in float64 leaves of a constant."""
        size = np.maximum(np.abs(self.low), np.abs(self.high))
        with np.errstate(over="ignore"):
            return np.asarray(self.high - self.low > NOISE * size)

    def scale(self) -> Float[np.ndarray, "..."]:
        """Standard deviation; 1 where values do not vary."""
        scale = np.sqrt(self.squares / np.maximum(self.count, 1))
        return np.where(self.varies(), scale, 1.0)


def fit_scaling(
    blocks: Iterable[Block], log: Sequence[str], labels: Mapping
) -> Standardization:
    """Standardisation by the moments of all blocks.

    Args:
        blocks: values `[n, *event]` and what of them was observed, by modality.
        log: the modalities of which log(1 + x) is scaled.
        labels: `Labels` by modality, for errors.

    Raises:
        ValueError: a standard deviation is not finite, or none that floats here hold.
    """
    sums: dict[str, Moments] = {}
    for block in blocks:
        for name, (x, observed) in block.items():
            new = _moments(x, observed, name in log)
            sums[name] = sums[name].merge(new) if name in sums else new
    scales = {name: m.scale() for name, m in sums.items()}
    for name, scale in scales.items():
        _check_scale(labels[name], sums[name].mean, scale)
    return Standardization({n: m.mean for n, m in sums.items()}, scales, tuple(log))


def _moments(x: np.ndarray, observed: np.ndarray, log: bool) -> Moments:
    x = np.where(observed, x, np.zeros((), x.dtype)).astype(np.float64)
    return Moments.of(np.log1p(x) if log else x, observed)


def _check_scale(labels, mean: np.ndarray, scale: np.ndarray) -> None:
    kind = np.finfo(jnp.result_type(float))
    wrong = ~(np.isfinite(mean) & (scale >= kind.tiny) & (scale <= kind.max))
    if wrong.any():
        place = tuple(int(i) for i in np.argwhere(wrong)[0])
        way = "another unit, x / c or x · c, first"
        if kind.dtype != np.float64:
            way += ", or jax_enable_x64"
        raise ValueError(
            f"standardize: modality {labels.modality!r}, {labels.column(place)}: expected "
            f"a standard deviation from {kind.tiny:.1e} to {kind.max:.1e}, which "
            f"{kind.dtype} has, got {scale[place]:.3g}; give the column in {way}"
        )
