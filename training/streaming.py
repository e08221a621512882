"""Batches that are read ahead from disk while the device trains on those before."""

import dataclasses
from collections.abc import Callable, Iterator

import jax
import numpy as np

from consilience.datasets.data import MultimodalData
from consilience.datasets.streaming import StreamedData, assemble
from consilience.training.devices import PER_ROW
from consilience.training.order import Order
from consilience.training.sources import MOST_STEPS

CHUNK = 2**23  # bytes of a chunk, of which about four are in memory


class Streamed:
    """A `Source` of rows on disk, by way of Grain. A record is one shuffled batch.

    Threads read batches in the order of key and epoch, one puts them together; any step
    can be the first one. See `Source`.

    Args:
        data: all rows.
        order: of the rows.
        share: which rows of each batch this process reads; all of them by default.
        place: shares a chunk out over devices, in the thread that reads ahead.
        num_threads: that read.
    """

    def __init__(
        self,
        data: StreamedData,
        order: Order,
        *,
        share: slice = slice(None),
        place: Callable = lambda chunk: chunk,
        num_threads: int = 4,
    ):
        self.order = order
        self.resident = dataclasses.replace(data.schema.bare(), total=data.size)
        self._data, self._share, self._place = data, share, place
        self._num_threads = num_threads
        self._batches, self._next = None, None

    @property
    def most_steps(self) -> int:
        """Steps of a chunk of tolerable size."""
        item = {name: getattr(self.resident, name) for name in PER_ROW}
        row = sum(x.nbytes for x in jax.tree.leaves(item))
        return max(1, min(MOST_STEPS, CHUNK // (row * self.order.batch_size)))

    def chunk(self, epoch: int, start: int, stop: int) -> dict[str, object]:
        """Batches of steps `start` to `stop`, stacked."""
        steps = stop - start
        if self._next != (epoch, start, steps):
            self.close()
            self._batches = self._pipeline(epoch, start, steps)
        left = self.order.num_steps - stop
        self._next = None  # while nothing has come
        chunk = next(self._batches)
        self._next = (epoch, stop, min(steps, left))
        if not left:
            self.close()
        return chunk

    @staticmethod
    def take(resident: MultimodalData, item: dict[str, object]) -> MultimodalData:
        """The batch itself, scaled."""
        return assemble(resident, item)

    def close(self) -> None:
        """Stop reading ahead."""
        if self._batches is not None:
            self._batches.close()
        self._batches = self._next = None

    def _pipeline(self, epoch: int, start: int, steps: int) -> Iterator:
        """Chunks of an epoch from a step on: a function of key, epoch and step."""
        import grain

        rows = np.asarray(self.order(epoch))[:, self._share]
        batches = grain.MapDataset.range(start, len(rows)).map(
            lambda step: self._data.read(rows[step])
        )
        options = grain.ReadOptions(
            num_threads=self._num_threads,
            prefetch_buffer_size=max(steps, self._num_threads),
        )
        chunks = batches.to_iter_dataset(options).batch(steps)
        chunks = chunks.map(self._place).map(_on_device)
        ahead = grain.experimental.ThreadPrefetchIterDataset
        return iter(ahead(chunks, prefetch_buffer_size=1))


def _on_device(chunk: dict[str, object]) -> dict[str, object]:
    """Copy what is still on the host while the device is busy with earlier chunks."""
    return jax.tree.map(
        lambda x: jax.device_put(x) if isinstance(x, np.ndarray) else x, chunk
    )
