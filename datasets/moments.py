"""Mean and standard deviation of features, block by block."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float

from consilience.datasets.checks import check_standardize, observed_entries
from consilience.datasets.data import MultimodalData
from consilience.datasets.standardization import Standardization
from consilience.datasets.stored_data import counted_from

Blocks = Iterable[tuple[int, MultimodalData]]


class Moments(NamedTuple):
    """Count, mean and sum of squared deviations of each feature's observed entries.

    Attributes:
        count: `[*event]`.
        mean: `[*event]`, zero where nothing was observed.
        squares: `[*event]`.
    """

    count: Float[np.ndarray, "..."]
    mean: Float[np.ndarray, "..."]
    squares: Float[np.ndarray, "..."]

    @classmethod
    def of(
        cls,
        x: Float[np.ndarray, "rows ..."],
        observed: Bool[np.ndarray, "rows ..."],
    ) -> "Moments":
        """Those of one block, in two passes over it."""
        count = observed.sum(0, dtype=np.float64)
        mean = np.sum(x, 0, where=observed) / np.maximum(count, 1)
        squares = np.sum((x - mean) ** 2, 0, where=observed)
        return cls(count, mean, squares)

    def merge(self, other: "Moments") -> "Moments":
        """Those of both (Chan, Golub & LeVeque 1983, eq. 2.1)."""
        count = self.count + other.count
        share = other.count / np.maximum(count, 1)
        step = other.mean - self.mean
        # M₂ = M₂ᵃ + M₂ᵇ + δ² nᵃ nᵇ / n
        squares = self.squares + other.squares + step**2 * self.count * share
        return Moments(count, self.mean + step * share, squares)

    def scale(self, dtype: np.dtype) -> Float[np.ndarray, "..."]:
        """Standard deviation; 1 where numbers of `dtype` are all the same."""
        scale = np.sqrt(self.squares / np.maximum(self.count, 1))
        constant = scale <= 8 * np.finfo(dtype).eps * np.abs(self.mean)
        return np.where(constant, 1.0, scale)


def fit_scaling(
    blocks: Blocks, names: Sequence[str] | None, log: tuple[str, ...]
) -> Standardization:
    """As of `MultimodalData.standardize`, summed in float64.

    Raises:
        ValueError: a value of −1 or less in a modality of `log`.
    """
    sums: dict[str, Moments] = {}
    for start, block in blocks:
        with counted_from(start):
            check_standardize(block, names, None, log)
        for name in _floats(block, log) if names is None else names:
            new = _of_modality(block, name, name in log)
            sums[name] = sums[name].merge(new) if name in sums else new
    kind = jnp.result_type(float)
    return Standardization(
        {name: jnp.asarray(m.mean, kind) for name, m in sums.items()},
        {name: jnp.asarray(m.scale(kind), kind) for name, m in sums.items()},
        log,
    )


class _Scaled(NamedTuple):
    standardization: Standardization


def check_scalable(blocks: Blocks, fitted: Standardization) -> None:
    """Refuse values that have no logarithm, of modalities that need one."""
    for start, block in blocks if fitted.log else ():
        with counted_from(start):
            check_standardize(block, None, _Scaled(fitted), ())


def _floats(block: MultimodalData, log: tuple[str, ...]) -> list[str]:
    return [n for n in block.names if n in log or block.values[n].dtype.kind == "f"]


def _of_modality(block: MultimodalData, name: str, log: bool) -> Moments:
    x = np.asarray(block.values[name], np.float64)
    return Moments.of(np.log1p(x) if log else x, observed_entries(block, name))
