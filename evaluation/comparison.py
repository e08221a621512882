"""Models ranked by their log-likelihoods, with paired standard errors, by ArviZ."""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.elpd_data import checked, elpd_of
from consilience.inference.likelihood import LogLikelihood

if TYPE_CHECKING:
    from arviz import ELPDData
    from pandas import DataFrame

LOWEST = -300.0  # exp, squared, is still a double


def compare(
    models: Mapping[str, LogLikelihood],
    *,
    reference: str | None = None,
    round_to: int | str = "auto",
) -> "DataFrame":
    """Rank bounds, aggregations or priors by log-likelihoods of the same rows.

    The table of `az.compare`, which `az.plot_compare` draws: `elpd` in nats, `elpd_diff`
    to the best model, with its standard error `dse` from the N paired differences
    (√N times their standard deviation), weights by stacking (Yao et al. 2018), and in
    `diag_elpd` the number of rows whose k̂ is above its threshold. `se` and `dse` contain
    the Monte Carlo errors of the rows, which are part of their spread; how much they are
    by themselves, for models with draws of their own, `monte_carlo_error` says of
    `elpd_diff` (of the reference: of its `elpd`). Where it is most of `dse`, take more
    samples.

    **The rows must be the same, in the same order,** in the same units, and held out from
    training: a `LogLikelihood` does not know its rows, only their number is checked. See
    `elpd` for the bias, which favours the better guide.

    Args:
        models: name → log-likelihood of the N rows.
        reference: model to take differences to; the best one by default.
        round_to: digits, "none", or "auto" by standard errors.

    Raises:
        TypeError: no mapping from names to `LogLikelihood`s.
        ValueError: fewer than two models or rows; numbers of rows differ; a value that is
            not finite, naming model and row; `reference` is none of the models.
    """
    import arviz as az

    _check_models(models, reference)
    found = {name: elpd_of(f"models[{name!r}]", x) for name, x in models.items()}
    settings = {"reference": reference, "round_to": round_to}
    table = az.compare(found, method="pseudo-bma", **settings)
    weights = az.compare(_shifted(found), method="stacking", **settings)["weight"]
    errors = _errors(found, reference or table.index[0])
    if round_to != "none":
        errors = {name: float(f"{error:.2g}") for name, error in errors.items()}
    return table.assign(weight=weights, monte_carlo_error=table.index.map(errors))


def _errors(found: Mapping[str, "ELPDData"], reference: str) -> dict[str, float]:
    """√Σ e² of both models of a difference; of the reference alone."""
    square = {
        name: float((x.elpd_i.coords["monte_carlo_error"].values ** 2).sum())
        for name, x in found.items()
    }
    other = {name: 0.0 if name == reference else square[reference] for name in square}
    return {name: (square[name] + other[name]) ** 0.5 for name in square}


def _check_models(models: Mapping[str, LogLikelihood], reference: str | None) -> None:
    if not isinstance(models, Mapping):
        raise TypeError(f"models: expected a mapping, got {type(models).__name__}")
    for name, found in models.items():
        if not isinstance(name, str):
            raise TypeError(f"models: expected strings as names, got {name!r}")
        checked(f"models[{name!r}]", found)
    if len(models) < 2:
        raise ValueError(f"models: expected two or more, got {len(models)}")
    rows = {name: len(found.value) for name, found in models.items()}
    if len(set(rows.values())) > 1:
        raise ValueError(f"models: expected the same rows in each, got numbers {rows}")
    if reference is not None and reference not in models:
        raise ValueError(
            f"reference: expected one of {', '.join(models)}, got {reference!r}"
        )


def _shifted(found: Mapping[str, "ELPDData"]) -> dict[str, "ELPDData"]:
    """Each row less that of its best model, as densities under- or overflow otherwise.

    Stacking weights stay the same.
    """
    best = np.max([x.elpd_i.values for x in found.values()], 0)
    rows = {name: np.maximum(x.elpd_i - best, LOWEST) for name, x in found.items()}
    return {
        name: replace(x, elpd_i=rows[name], elpd=float(rows[name].sum()))
        for name, x in found.items()
    }
