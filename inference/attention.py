"""What a guide with self-attention attends to."""

from collections.abc import Callable
from functools import partial

import jax
from jaxtyping import Array, Bool, Float

from consilience.datasets.data import MultimodalData
from consilience.inference import programs
from consilience.inference.chunks import over_rows
from consilience.inference.contract import require_data
from consilience.nn.executables import Program
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


@checked_kinds
def attention_weights(
    guide: Callable,
    params: dict,
    data: MultimodalData,
    subset: Bool[Array, "rows modalities"] | None = None,
    *,
    chunk_size: int = 1000,
) -> Float[Array, "rows layers heads modalities modalities"]:
    """Attention between the modalities of S (Hirt et al. 2024, Remark 11).

    Args:
        guide: `guide(data, subset=None)` whose aggregation is `SelfAttention`, or one that
            registers a deterministic site "attention" itself.
        params: its trained parameters.
        data: N rows.
        subset: `[N, M]`, what is given; None means all that is present.
        chunk_size: rows at once.

    Returns:
        `[N, layers, heads, query, key]`: rows of present queries sum to one over present
        keys; all else is zero.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: the guide has no attention; `subset` has another shape.
    """
    require_data(data)
    check_positive(chunk_size=chunk_size)
    program = Program(partial(_weights, guide))

    def work(key, rows, members):
        return program(key, params, rows, members)

    return over_rows(work, jax.random.key(0), data, subset, chunk_size)


def _weights(guide, rng_key, params, data, subset) -> Array:
    trace = programs.run(guide, params, rng_key, {}, data, subset)
    if "attention" not in trace:
        raise ValueError(
            "guide: expected an aggregation with attention, such as SelfAttention, got a "
            "guide without the site 'attention'"
        )
    return trace["attention"]["value"]
