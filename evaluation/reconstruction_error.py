"""How close are reconstructions to what was measured?"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.given import mean_of_rows
from consilience.inference.contract import require_data


class ByRow(NamedTuple):
    """A figure of one modality in each row, and its mean.

    Attributes:
        value: mean over the rows that count.
        standard_error: of it, over rows.
        left_out: number of rows that do not count.
        by_row: `[N]`, mean over the draws; nan where left out.
    """

    value: float
    standard_error: float
    left_out: int
    by_row: Float[np.ndarray, " rows"]


def reconstruction_error(
    data: MultimodalData,
    generated: Mapping[str, Shaped[Array | np.ndarray, "samples rows ..."]],
) -> dict[str, ByRow]:
    """Mean squared error of each modality over the entries that were measured.

    Of draws it is their spread plus the error of their mean; for the latter alone give
    `x.mean(0, keepdims=True)`. Categories as whole numbers have no such error: leave
    them out of `generated`.

    Args:
        data: N rows, the truth.
        generated: modality name → `[K, N, *event]` as `generate` gives them, in the units
            of the unscaled data.

    Returns:
        by modality, in squared units of the unscaled data; rows that lack the modality
        are left out and counted.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: a name is unknown, a shape is another, a number is not finite where
            there is a truth.
    """
    require_data(data)
    return {name: _squared(data, name, x) for name, x in generated.items()}


def _squared(data: MultimodalData, name: str, generated: object) -> ByRow:
    truth, generated, observed = truth_and_generated(data, name, generated)
    observed = observed.reshape(data.size, -1)
    square = ((generated - truth) ** 2).mean(0).reshape(data.size, -1)
    counts = observed.sum(-1)
    total = np.where(observed, square, 0.0).sum(-1)
    return mean_by_row(np.where(counts > 0, total / np.maximum(counts, 1), np.nan))


def mean_by_row(by_row: Float[np.ndarray, " rows"]) -> ByRow:
    """A figure of each row, nan where left out, with its mean."""
    return ByRow(*mean_of_rows(by_row), int(np.isnan(by_row).sum()), by_row)


def truth_and_generated(data: MultimodalData, name: str, generated: object) -> tuple:
    """Truth `[N, *event]`, generated `[K, N, *event]`, observed, in unscaled units."""
    index = data.index(name)
    shape = (data.size, *data.event_shapes[index])
    generated = np.asarray(generated).astype(float)
    if generated.shape[1:] != shape or not len(generated):
        raise ValueError(
            f"generated: modality {name!r}: expected shape (samples, "
            f"{', '.join(map(str, shape))}), got {generated.shape}"
        )
    observed = np.asarray(data.observed(name))
    wrong = (observed & ~np.isfinite(generated)).sum()
    if wrong:
        raise ValueError(
            f"generated: modality {name!r}: expected finite numbers where there is a "
            f"truth, got {wrong} others; a fit gives NaN for what its training rows "
            "never measured"
        )
    truth = data.unstandardize({name: data.filled(name)})[name]
    return np.asarray(truth).astype(float), generated, observed
