"""Importance-sampled log-likelihoods as ArviZ's data of a model's predictive density."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from consilience.inference.likelihood import LogLikelihood
from consilience.inference.pareto import threshold
from consilience.nn.sizes import check_positive

if TYPE_CHECKING:
    from arviz import ELPDData


def elpd(
    log_likelihood: LogLikelihood, *, num_samples: int | None = None
) -> "ELPDData":
    """What `az.compare` ranks models by: Σ_n log p̂(x_n), row by row.

    Of held-out rows this is the expected log predictive density itself; leaving one row
    out and weighting again, as `az.loo` does, is wrong where every row has latents of its
    own. `elpd_i` and `pareto_k` are `[N]` over "datapoint"; `elpd_i` carries each row's
    Monte Carlo error and effective sample size as coordinates. `se` is that of the sum for
    rows like these, √N times their spread, as ArviZ defines it: the spread is that of log
    p̂, and so contains the rows' Monte Carlo errors, which are independent (but for draws of
    global latents, which rows share). There is no effective number of parameters: `p` is
    NaN. `good_k` is the threshold of k̂ for K samples. Rows that have nothing of what was
    asked for stay out.

    What no error contains is bias: log p̂ lies below log p on average, by about its Monte
    Carlo error² / 2 and by more where k̂ is large: a better guide looks like a better model.
    ArviZ's stacking fails for rows far from 0 nats; `consilience.evaluation.compare` does
    not.

    Args:
        log_likelihood: of N rows, in nats over the units of the unscaled data.
        num_samples: K, where `log_likelihood` does not say it.

    Raises:
        TypeError: no `LogLikelihood`.
        ValueError: fewer than two rows; a value that is not finite, naming its row;
            `num_samples` is not positive.
    """
    return elpd_of("log_likelihood", log_likelihood, num_samples)


def elpd_of(
    argument: str, log_likelihood: LogLikelihood, num_samples: int | None = None
) -> "ELPDData":
    """As `elpd`, with the name of the argument in errors."""
    from arviz import ELPDData
    from xarray import DataArray

    if num_samples is not None:
        check_positive(num_samples=num_samples)
    columns = checked(argument, log_likelihood)
    value, error, effective, k = columns
    num_samples = log_likelihood.samples or num_samples
    good = float(threshold(num_samples))
    coords = {"monte_carlo_error": error, "effective_sample_size": effective}
    rows = {"datapoint": np.arange(len(value))}
    by_row = {name: ("datapoint", x) for name, x in coords.items()}
    return ELPDData(
        elpd=float(value.sum()),
        se=float(np.sqrt(len(value) * value.var())),
        p=np.nan,
        n_samples=num_samples,
        n_data_points=len(value),
        scale="log",
        warning=bool((~(k <= good)).any()),
        good_k=good,
        elpd_i=DataArray(value, rows | by_row, ("datapoint",)),
        pareto_k=DataArray(k, rows, ("datapoint",)),
    )


def checked(
    argument: str, log_likelihood: LogLikelihood
) -> Float[np.ndarray, "columns rows"]:
    """The fields as doubles, refused where they are no use for a comparison."""
    if not isinstance(log_likelihood, LogLikelihood):
        raise TypeError(
            f"{argument}: expected a LogLikelihood, got {type(log_likelihood).__name__}"
        )
    columns = log_likelihood.counted()
    if columns.shape[1] < 2:
        raise ValueError(
            f"{argument}: expected two rows or more, whose spread gives the standard "
            f"error, got {columns.shape[1]}"
        )
    strange = np.flatnonzero(~np.isfinite(columns[0]))
    if len(strange):
        raise ValueError(
            f"{argument}: expected finite values, got {columns[0, strange[0]]} in row "
            f"{strange[0]} ({len(strange)} such rows)"
        )
    return columns
