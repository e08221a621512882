"""The picture of `check_posterior`: how far the guide is from NUTS, and where."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.check_posterior import PosteriorCheck
from consilience.evaluation.regions import draw_regions
from consilience.evaluation.style import (
    BLACK,
    BLUE,
    ORANGE,
    color,
    marker,
    styled,
    symbol,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_DRAWS = 500


@styled
def plot_posterior_check(check: PosteriorCheck, rows: Sequence[int] = ()) -> "Figure":
    """Errors of means and scales ± 2 standard errors, and distances beside their floor.

    A perfect guide has its points at the cross, up to their bars, and its energy
    distances among those between two halves of the chains of NUTS.

    Args:
        check: of `check_posterior`.
        rows: rows whose draws to show as well, over NUTS's regions of 50 % and 90 %, in
            the first two dimensions.

    Raises:
        TypeError: no `PosteriorCheck`.
        ValueError: a row is none of the check's; rows to show of a single dimension.
    """
    import matplotlib.pyplot as plt

    _check(check, rows)
    figure = plt.figure(figsize=(11, 4.2 + 3.0 * bool(len(rows))), layout="constrained")
    parts = figure.subfigures(1 + bool(len(rows)), 1, squeeze=False)[:, 0]
    errors, distances = parts[0].subplots(1, 2)
    _errors(errors, check)
    _distances(distances, check)
    if len(rows):
        below = parts[1].subplots(1, len(rows), squeeze=False)[0]
        for axes, row in zip(below, rows, strict=True):
            _draws(axes, check, row)
        parts[1].legend(
            *below[0].get_legend_handles_labels(),
            loc="outside lower center",
            ncols=2,
            markerscale=2.5,
        )
    return figure


def _check(check: PosteriorCheck, rows: Sequence[int]) -> None:
    if not isinstance(check, PosteriorCheck):
        raise TypeError(
            "check: expected a `PosteriorCheck`, as `check_posterior` returns, got "
            f"{type(check).__name__}"
        )
    count, latent_dim = check.mean_error.shape
    if any(not 0 <= row < count for row in rows):
        raise ValueError(f"rows: expected rows 0 to {count - 1}, got {list(rows)}")
    if len(rows) and latent_dim < 2:
        raise ValueError("rows: expected a latent of two dimensions or more, got 1")


def _errors(axes: "Axes", check: PosteriorCheck) -> None:
    axes.axhline(0, color="0.7", linewidth=1, zorder=0)
    axes.axvline(0, color="0.7", linewidth=1, zorder=0)
    for i, name in enumerate(check.reference.dimensions):
        axes.errorbar(
            check.mean_error[:, i],
            check.scale_error[:, i],
            xerr=2 * check.mean_standard_error[:, i],
            yerr=2 * check.scale_standard_error[:, i],
            color=color(i),
            marker=marker(i),
            markersize=5,
            linestyle="",
            elinewidth=0.7,
            alpha=0.8,
            label=symbol(name),
        )
    axes.set(
        title="Errors of each row's posterior",
        xlabel="mean: guide − NUTS, in standard deviations",
        ylabel="log scale: guide − NUTS",
    )
    axes.margins(0.12)
    columns = 1 + (len(check.reference.dimensions) - 1) // 14
    beside = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0), "borderpad": 0}
    axes.legend(ncols=columns, handletextpad=0.2, **beside)


def _distances(axes: "Axes", check: PosteriorCheck) -> None:
    order = np.argsort(check.energy.value)
    at = np.arange(1, len(order) + 1)
    value, floor = (x[order] for x in (check.energy.value, check.energy.floor))
    axes.vlines(at, floor, value, color="0.8", linewidth=1.2, zorder=0)
    look = {"linestyle": "", "markersize": 6}
    axes.plot(at, value, marker="o", color=BLUE, label="guide against NUTS", **look)
    label = "chance alone: NUTS against NUTS, 1 in 20 above"
    axes.plot(
        at,
        floor,
        marker="s",
        color=ORANGE,
        markerfacecolor="white",
        label=label,
        **look,
    )
    axes.set(
        title="Energy distance",
        xlabel="rows, by their distance",
        ylabel="squared energy distance",
    )
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.legend(loc="upper left")


def _draws(axes: "Axes", check: PosteriorCheck, row: int) -> None:
    """The guide's draws of a row over the regions of NUTS."""
    draws = check.guide[row, :MOST_DRAWS, :2]
    look = {"s": 9, "alpha": 0.5, "linewidths": 0}
    axes.scatter(*draws.T, color=BLUE, label="draws of the guide", **look)
    draw_regions(axes, check.reference, row, (0, 1), BLACK)
    axes.plot([], [], color=BLACK, label="NUTS, 50 % and 90 %")
    first, second = (symbol(name) for name in check.reference.dimensions[:2])
    axes.set(title=f"row {row}", xlabel=first, ylabel=second)
