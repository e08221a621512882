"""What is missing filled in, what was measured kept."""

import warnings
from collections.abc import Mapping

import numpy as np
from jaxtyping import Array, Shaped

from consilience.datasets.checks import observed_entries
from consilience.datasets.data import MultimodalData
from consilience.datasets.names import few


def complete(
    data: MultimodalData,
    means: Mapping[str, Shaped[Array | np.ndarray, "rows ..."]],
    measured: Mapping[str, object] | None = None,
) -> dict[str, np.ndarray]:
    """Fill what is missing from `means` and keep what was measured, bit for bit.

    Args:
        data: N rows, unscaled.
        means: by modality, `[N, *event]` in the units of `data`, such as the mean of
            `generate` over its draws.
        measured: values by modality in the precision of the file, `read_arrays(...)
            .values`; by default those of `data`.

    Returns:
        by modality of `means`; floats where anything was filled in with floats. A column
        whose means are NaN in every row, such as one that training never measured, stays
        missing.

    Warns:
        UserWarning: a column stays missing.

    Raises:
        ValueError: `data` are standardised, which rounds; shapes differ; what is to be
            filled in is not finite.
    """
    if data.standardization is not None:
        raise ValueError(
            "data: expected rows as they were before standardize(), since scaling and its "
            "inverse round, got standardised ones"
        )
    values = data.values if measured is None else measured
    return {name: _completed(data, name, x, values) for name, x in means.items()}


def _completed(data: MultimodalData, name: str, means, values) -> np.ndarray:
    observed, means = observed_entries(data, name), np.asarray(means)
    if name not in values:
        raise ValueError(f"measured: expected values of {name!r}, got none")
    own = np.ma.getdata(values[name])
    for argument, array in (("means", means), ("measured", own)):
        if array.shape != observed.shape:
            raise ValueError(
                f"{argument}[{name!r}]: expected the shape {observed.shape}, got "
                f"{array.shape}"
            )
    if observed.all():
        return np.array(own)
    unknown = np.isnan(means.astype(float)).all(0)
    wrong = ~np.isfinite(means) & ~observed & ~unknown
    if wrong.any():
        raise ValueError(
            f"means[{name!r}]: expected finite numbers where something is missing, got "
            f"{wrong.sum()} others"
        )
    if (~observed & unknown).any():
        columns = few([data.labels()[name].column(c) for c in np.argwhere(unknown)])
        warnings.warn(
            f"means[{name!r}]: {columns}: NaN in every row, as of what training never "
            "measured; left missing",
            stacklevel=4,
        )
    return np.where(observed, own, means)
