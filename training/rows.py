"""Training rows in memory or on disk: what `fit` asks of either."""

from collections.abc import Iterator
from functools import partial

import numpy as np
from jax.sharding import Mesh

from consilience.datasets.data import MultimodalData
from consilience.datasets.streaming import StreamedData
from consilience.training.devices import place, place_share, share
from consilience.training.order import Order
from consilience.training.sources import InMemory, Source
from consilience.training.streaming import Streamed

Rows = MultimodalData | StreamedData


def require_rows(data: object) -> None:
    """Refuse anything but rows.

    Raises:
        TypeError: saying what came.
    """
    if not isinstance(data, Rows):
        raise TypeError(
            "data: expected MultimodalData, or StreamedData for rows on disk, got "
            f"{type(data).__name__}; read(path) or MultimodalData.from_arrays make the "
            "first, stream(path) the second"
        )


def source_of(data: Rows, order: Order, mesh: Mesh | None) -> Source:
    """Where the batches of a training come from."""
    if isinstance(data, MultimodalData):
        return InMemory(place(data.bare(), mesh), order)
    settings = {"share": share(mesh, order.batch_size)}
    return Streamed(data, order, place=partial(place_share, mesh=mesh), **settings)


def blocks(data: Rows) -> Iterator[tuple[int, MultimodalData]]:
    """All rows in pieces, and the number of each one's first row."""
    if isinstance(data, StreamedData):
        yield from data.blocks()
    else:
        yield 0, data


def identity(data: Rows) -> object:
    """Arrays that tell one data set from another: of rows on disk some, and all masks."""
    if isinstance(data, MultimodalData):
        return data.bare()
    ends = np.unique(np.linspace(0, data.size - 1, 1000).astype(int))
    return data.present, data.take(ends).bare()
