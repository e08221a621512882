"""The order of rows: a function of key and epoch alone."""

import dataclasses
import math
from functools import lru_cache, partial

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key

from consilience.nn.executables import Program


def epoch_order(
    rng_key: Key[Array, ""], epoch: int | Array, num_rows: int, batch_size: int
) -> Int[Array, "steps batch"]:
    """Row indices of an epoch's batches; the last is filled from the next permutation."""
    steps = math.ceil(num_rows / batch_size)
    now, following = (
        jax.random.permutation(jax.random.fold_in(rng_key, epoch + i), num_rows)
        for i in (0, 1)
    )
    order = jnp.concatenate([now, following])
    return order[: steps * batch_size].reshape(steps, batch_size)


@dataclasses.dataclass(frozen=True)
class Order:
    """The orders of all epochs; the last one asked for is kept.

    Attributes:
        rng_key: random key.
        num_rows: rows in all.
        batch_size: rows a step.
    """

    rng_key: Key[Array, ""]
    num_rows: int
    batch_size: int

    def __post_init__(self):
        sizes = {"num_rows": self.num_rows, "batch_size": self.batch_size}
        program = Program(partial(epoch_order, **sizes))
        kept = lru_cache(maxsize=1)(partial(program, self.rng_key))
        object.__setattr__(self, "_kept", kept)

    def __call__(self, epoch: int) -> Int[Array, "steps batch"]:
        """Row indices of each step of an epoch."""
        return self._kept(epoch)

    @property
    def num_steps(self) -> int:
        """Steps an epoch."""
        return math.ceil(self.num_rows / self.batch_size)
