"""Encoder of indices by learned vectors."""

import math
from typing import Literal

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Integer, Shaped

from consilience.nn.sizes import check_positive


class EmbeddingEncoder(nnx.Module):
    """Indices → a learned vector each → all of them summed or side by side → dense.

    A missing index has the vector zero. One table of vectors serves all positions. An index
    that is no class makes its row's features NaN: it has no vector, and that of another
    class would go unnoticed.

    Args:
        event_shape: any shape of indices; `(..., 2)` with a mask.
        num_features: F.
        num_classes: indices are 0..num_classes − 1.
        width: width of the vectors.
        pool: "flatten" keeps positions apart, "sum" forgets them (a bag of indices).
        masked: whether the last axis of two holds index and mask, as it does where
            entries are missing. Needed if there is an axis of two: it might also be two
            indices.
        rngs: random streams of the parameters.

    Raises:
        TypeError: called with other numbers than integers.
        ValueError: a setting is wrong; the last axis is of two and `masked` is not given.
    """

    def __init__(
        self,
        event_shape: tuple[int, ...],
        num_features: int,
        *,
        num_classes: int,
        width: int = 32,
        pool: Literal["flatten", "sum"] = "flatten",
        masked: bool | None = None,
        rngs: nnx.Rngs,
    ):
        check_positive(num_classes=num_classes, width=width)
        if pool not in ("flatten", "sum"):
            raise ValueError(f"pool: expected 'flatten' or 'sum', got {pool!r}")
        self.masked = is_masked(event_shape, masked)
        count = math.prod(event_shape[:-1] if self.masked else event_shape)
        self.table = nnx.Embed(num_classes, width, rngs=rngs)
        inputs = width * (count if pool == "flatten" else 1)
        self.dense = nnx.Linear(inputs, num_features, rngs=rngs)
        self.pool = pool

    def __call__(self, x: Shaped[Array, "rows ..."]) -> Float[Array, "rows features"]:
        x = as_indices(x, self.table.num_embeddings)
        index, mask = (x[..., 0], x[..., 1]) if self.masked else (x, jnp.ones_like(x))
        known = (index >= 0) & (index < self.table.num_embeddings)
        vectors = self.table(jnp.where(known, index, 0))
        vectors = jnp.where(known[..., None], vectors, jnp.nan)
        vectors = jnp.where(mask[..., None] != 0, vectors, 0.0)
        rows, width = len(x), vectors.shape[-1]
        if self.pool == "sum":
            return self.dense(vectors.reshape(rows, -1, width).sum(1))
        return self.dense(vectors.reshape(rows, -1))


def as_indices(
    x: Shaped[Array, "rows ..."], num_classes: int
) -> Integer[Array, "rows ..."]:
    """Integers as they are and booleans as 0 and 1; nothing is rounded.

    Raises:
        TypeError: other numbers, naming their type.
    """
    if x.dtype == bool or jnp.issubdtype(x.dtype, jnp.integer):
        return x.astype(jnp.result_type(int))
    raise TypeError(
        f"x: expected indices, integers or booleans (num_classes={num_classes}), got "
        f"dtype {x.dtype}; make the values integers, or encode numbers with MLPEncoder "
        "without num_classes"
    )


def is_masked(event_shape: tuple[int, ...], masked: bool | None) -> bool:
    """Whether the last axis of measurements of indices holds index and mask.

    Raises:
        ValueError: `masked` is not given where that cannot be told, or is wrong.
    """
    two = event_shape[-1:] == (2,)
    if masked is None and two:
        raise ValueError(
            f"masked: expected True or False for event_shape {event_shape}, whose last "
            "axis of two may be index and mask (True, where entries are missing) or two "
            "indices (False), got None"
        )
    if masked and not two:
        raise ValueError(
            "masked: expected False unless the last axis is one of two, index and mask; "
            f"got True for event_shape {event_shape}"
        )
    return bool(masked)
