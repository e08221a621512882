"""What a classifier sees of a modality: centred floats or one-hot categories."""

import dataclasses
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Shaped

from consilience.datasets.data import MultimodalData

MOST_CATEGORIES = 1000


@dataclasses.dataclass(frozen=True, eq=False)
class Centred:
    """Floats in the units of training, less their column's mean, over one scale; flat.

    Attributes:
        data: a row that knows how the modality was standardised.
        name: the modality.
        loc: `[*event]`, in the units of training.
        scale: likewise, one number.
    """

    data: MultimodalData
    name: str
    loc: Float[Array | np.ndarray, "..."]
    scale: float

    @property
    def missing(self) -> Array:
        """What stands for a missing entry, in the first units."""
        return self.data.unstandardize({self.name: jnp.asarray(self.loc)})[self.name]

    def __call__(
        self, values: Shaped[Array | np.ndarray, "rows ..."]
    ) -> Float[Array, "rows features"]:
        scaled = self.data.standardization
        if scaled is not None:
            values = scaled.apply({self.name: values})[self.name]
        return jnp.asarray((values - self.loc) / self.scale).reshape(len(values), -1)


@dataclasses.dataclass(frozen=True, eq=False)
class Categories:
    """Whole numbers as one-hot vectors, all zero outside `0 .. size − 1`; flattened."""

    size: int
    missing: ClassVar[int] = -1

    def __call__(
        self, values: Shaped[Array | np.ndarray, "rows ..."]
    ) -> Float[Array, "rows features"]:
        if values.dtype.kind not in "iub":
            raise ValueError(
                f"values: expected whole numbers, as in training, got {values.dtype}"
            )
        return jax.nn.one_hot(values, self.size).reshape(len(values), -1)


def class_features(data: MultimodalData, name: str) -> Centred | Categories:
    """Features of a modality, by its measured values; 0 and 1 are as good as floats.

    Raises:
        ValueError: no row has it; whole numbers that are no categories.
    """
    observed = np.asarray(data.observed(name))
    values = np.asarray(data.filled(name))
    if not observed.any():
        raise ValueError(f"data: expected rows with modality {name!r}, got none")
    if values.dtype.kind in "iub" and values.max() > 1:
        return Categories(_num_categories(name, values))
    counts = np.maximum(observed.sum(0), 1)
    loc = values.sum(0) / counts
    variance = np.where(observed, (values - loc) ** 2, 0.0).sum(0) / counts
    spread = np.sqrt(variance.mean()) or 1.0
    return Centred(data.take([0]), name, loc, float(spread))


def training_features(
    data: MultimodalData, name: str, features: Centred | Categories
) -> Float[Array, "rows features"]:
    """Features of all rows, with the mean or no category where nothing was measured."""
    values = data.unstandardize({name: data.values[name]})[name]
    return features(jnp.where(data.observed(name), values, features.missing))


def _num_categories(name: str, values: np.ndarray) -> int:
    low, high = int(values.min()), int(values.max())
    if low < 0 or high >= MOST_CATEGORIES:
        raise ValueError(
            f"data: modality {name!r}: expected categories 0 to {MOST_CATEGORIES - 1}, got "
            f"{low} to {high}; counts need a classifier of your own"
        )
    return high + 1
