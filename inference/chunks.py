"""Working through many rows in pieces of one size, so that memory stays bounded."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from consilience.datasets.data import MultimodalData


def over_rows(
    work: Callable,
    rng_key,
    data: MultimodalData,
    subset,
    chunk_size: int,
    axis: int = 0,
    also=(),
):
    """Apply `work(rng_key, data, subset, *also)` to pieces of `chunk_size` rows; join them.

    All pieces have one shape, so that `work` compiles once: the last is filled with
    copies of the first row, which are cut off again. Each piece has a key of its own.

    Args:
        work: returns a tree of arrays with rows along `axis`.
        rng_key: random key.
        data: all rows.
        subset: `[N, M]` or None for all that is present.
        chunk_size: rows at once.
        axis: where the rows stand in what `work` returns.
        also: trees of arrays `[N, ...]` that are cut likewise.

    Raises:
        ValueError: `subset` has another shape than `data.present`.
    """
    subset = check_subset(data, subset)
    rows, data = min(chunk_size, data.size), data.bare()
    parts = []
    for i, start in enumerate(range(0, data.size, rows)):
        index = np.arange(start, start + rows)
        index = np.where(index < data.size, index, 0)
        key = jax.random.fold_in(rng_key, i)
        more = jax.tree.map(lambda x, index=index: x[index], tuple(also))
        parts.append(work(key, data.take(index), subset[index], *more))
    joined = jax.tree.map(lambda *leaves: jnp.concatenate(leaves, axis), *parts)
    rows_of = (slice(None),) * axis + (slice(data.size),)
    return jax.tree.map(lambda leaf: leaf[rows_of], joined)


def check_subset(data: MultimodalData, subset) -> jax.Array:
    """The subset as far as present, `[N, M]`; None means all.

    Raises:
        ValueError: wrong shape or dtype.
    """
    if subset is None:
        return data.present
    subset = subset if isinstance(subset, jax.Array) else np.asarray(subset)
    if subset.shape != data.present.shape or subset.dtype != bool:
        raise ValueError(
            f"subset: expected booleans of shape {data.present.shape}, got {subset.dtype} "
            f"of shape {subset.shape}; build it with data.subset_of(...)"
        )
    return data.subset(subset)
