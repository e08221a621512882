"""Several processes that train together: one of them speaks, all decide alike."""

from collections.abc import Iterator
from contextlib import contextmanager

import jax
import numpy as np

from consilience.training.fingerprint import digest


def speaks() -> bool:
    """Whether this process is the one that shows and logs; of one it is that one."""
    return jax.process_index() == 0


def largest(number: int) -> int:
    """The largest of all processes' numbers; all of them must ask."""
    return int(_everywhere(np.array(number)).max())


@contextmanager
def together() -> Iterator[None]:
    """What goes wrong in one process ends all: none waits for one that is gone.

    Nothing inside may ask the other processes.

    Raises:
        RuntimeError: where it went well, if it did not in another process.
    """
    failed = True
    try:
        yield
        failed = False
    finally:
        failures = np.flatnonzero(_everywhere(np.array(failed))).tolist()
    if failures:
        raise RuntimeError(
            f"process {jax.process_index()} stops, as process {failures[0]} could not go "
            "on; the message of that one says why"
        )


def require_same(**trees: object) -> None:
    """Compare arrays and numbers between processes, by what users call them.

    Raises:
        ValueError: they are not the same in all.
    """
    if jax.process_count() == 1:
        return
    digests = [list(bytes.fromhex(digest(tree))) for tree in trees.values()]
    everywhere = _everywhere(np.array(digests, np.uint8))
    for i, name in enumerate(trees):
        others = np.flatnonzero((everywhere[:, i] != everywhere[0, i]).any(-1)).tolist()
        if others:
            raise ValueError(
                f"{name}: expected the same in all {jax.process_count()} processes, but "
                f"{_listed(others)} another than process 0"
            )


def _listed(processes: list[int]) -> str:
    if len(processes) == 1:
        return f"process {processes[0]} has"
    some = ", ".join(map(str, processes[:5]))
    return f"processes {some}{', ...' if len(processes) > 5 else ''} have"


def _everywhere(array: np.ndarray) -> np.ndarray:
    """`[processes, ...]`, the arrays of all."""
    if jax.process_count() == 1:
        return array[None]
    from jax.experimental.multihost_utils import process_allgather

    return process_allgather(array)
