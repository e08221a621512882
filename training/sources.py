"""Where a training step's rows come from: memory, or batches read ahead."""

from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int

from consilience.datasets.data import MultimodalData
from consilience.training.order import Order

MOST_STEPS = 256  # of a segment: between two looks at the clock


@runtime_checkable
class Source(Protocol):
    """Batches by epoch and step.

    Attributes:
        order: which rows each step sees.
        resident: a tree of arrays that stay on the device, the first argument of `take`.
        most_steps: of a chunk, so that it is of tolerable size.
    """

    order: Order
    resident: object
    most_steps: int

    def chunk(self, epoch: int, start: int, stop: int) -> object:
        """On the host: a tree that steps `start` to `stop` scan over, steps first."""

    @staticmethod
    def take(resident: object, item: object) -> MultimodalData:
        """On the device: the rows of one step, with `total` set; one function a class."""

    def close(self) -> None:
        """Let go of threads and files."""


class InMemory:
    """Rows that are gathered on the device. See `Source`.

    Args:
        data: all rows.
        order: of the rows.
    """

    most_steps = MOST_STEPS

    def __init__(self, data: MultimodalData, order: Order):
        # what waits on the host in float64 is cast once, not at each segment
        self.resident, self.order = jax.tree.map(jnp.asarray, data.bare()), order

    def chunk(self, epoch: int, start: int, stop: int) -> Int[Array, "steps batch"]:
        order = self.order(epoch)
        return order if stop - start == len(order) else order[start:stop]

    @staticmethod
    def take(resident: MultimodalData, item: Int[Array, " batch"]) -> MultimodalData:
        return resident.batch(item)

    def close(self) -> None:
        """Nothing is held."""


def rows_of(source: Source, epoch: int, step: int) -> Int[np.ndarray, " batch"]:
    """Which rows a step sees."""
    return np.asarray(jax.device_get(source.order(epoch)[step]))
