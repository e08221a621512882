"""The picture of simulation-based calibration."""

from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.calibration import Calibration, simultaneous_band
from consilience.evaluation.style import (
    color,
    given,
    legend_below,
    line,
    panels,
    styled,
    symbol,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def plot_calibration(calibration: Calibration) -> "Figure":
    """Empirical distributions of ranks less the uniform one, a panel for each subset.

    Calibrated guides stay within the grey band, all along and with probability 0.95 for
    each line (Säilynoja et al. 2022). An S that starts upwards says too narrow, one that
    starts downwards too wide, an arc biased: up, the guide's draws are too high. p is the
    panel's smallest p-value times the number of its tests.

    Args:
        calibration: of `calibration`.

    Raises:
        TypeError: no `Calibration`.
    """
    if not isinstance(calibration, Calibration):
        raise TypeError(
            "calibration: expected a `Calibration`, as `calibration` returns, got "
            f"{type(calibration).__name__}"
        )
    labels = (
        "rank of the truth among draws,\nas a share",
        "cumulative share − uniform",
    )
    figure, grid = panels(len(calibration.ranks), (3.1, 2.8), labels)
    p_values = calibration.p_values().to_numpy()
    for axes, (subset, ranks), p in zip(
        grid, calibration.ranks.items(), p_values, strict=True
    ):
        handles = _panel(axes, ranks, calibration)
        axes.set_title(f"{given(subset)}\n{_p_text(p)}")
    legend_below(figure, handles)
    return figure


def _panel(axes: "Axes", ranks: np.ndarray, calibration: Calibration) -> list:
    """The band and a line for each quantity."""
    count, largest = len(ranks), calibration.num_ranks
    at = np.arange(1, largest + 2) / (largest + 1)
    lower, upper = simultaneous_band(count, largest)
    band = axes.fill_between(
        at, lower - at, upper - at, color="0.85", linewidth=0, label="95 % band"
    )
    axes.axhline(0, color="0.6", linewidth=0.8)
    lines = []
    for i, name in enumerate(calibration.quantities):
        ecdf = np.searchsorted(np.sort(ranks[:, i]), np.arange(largest + 1), "right")
        look = {"color": color(i), "linestyle": line(i), "label": symbol(name)}
        lines += axes.plot(at, ecdf / count - at, linewidth=1.6, **look)
    axes.set_xlim(0, 1)
    return [*lines, band]


def _p_text(p: np.ndarray) -> str:
    smallest = min(1.0, p.min() * p.size)
    return f"p = {smallest:.2g}" if smallest >= 1e-4 else "p < 0.0001"
