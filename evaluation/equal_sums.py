"""Lines on which rate and distortion have one and the same sum."""

from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.style import GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUM = "equal rate + distortion"
POINTS, SHORTEST = 400, 0.15  # of a line; share of the panel, across or down
OF_LINES = {
    "color": GREY,
    "fontsize": 9,
    "rotation": -45,
    "rotation_mode": "anchor",
    "transform_rotates_text": True,
    "va": "bottom",
}


def draw_equal_sums(axes: "Axes") -> list:
    """Curves rate + distortion = constant, labelled where they come in; one of them."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    left = max(left, min(0.0, axes.dataLim.x0))
    axes.set(xlim=(left, right), ylim=(bottom, top))
    drawn: list = []
    for total in _totals(axes):
        ends = (max(left, total - top), min(right, total - bottom))
        if ends[0] >= ends[1]:
            continue
        x = (np.geomspace if _is_log(axes) else np.linspace)(*ends, POINTS)
        shares = _in_panel(axes, x, total - x)
        if np.ptp(shares, axis=0).max() > SHORTEST:
            look = {"color": "0.75", "linewidth": 0.9, "zorder": 0}
            drawn = axes.plot(x, total - x, label=SUM, **look)
            _name(axes, total, x, *shares.T)
    return drawn


def _totals(axes: "Axes") -> list[float]:
    """Round sums; on a logarithmic axis those of low rates, and one for each decade."""
    from matplotlib.ticker import MaxNLocator

    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    if not _is_log(axes):
        return list(MaxNLocator(6).tick_values(left + bottom, right + top))
    low = MaxNLocator(6).tick_values(left + bottom, left + top)
    decades = 10.0 ** np.arange(np.floor(np.log10(left)), np.ceil(np.log10(right)))
    return [
        *low,
        *decades[(decades > max(low[-1], top - bottom)) & (decades < right + top)],
    ]


def _in_panel(axes: "Axes", x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Points `[points, 2]` in shares of the panel, across and up."""
    to_axes = axes.transData + axes.transAxes.inverted()
    return to_axes.transform(np.stack([x, y], 1))


def _name(axes: "Axes", total: float, x, across, up) -> None:
    [inside] = np.nonzero((across >= 0.02) & (up <= 0.94) & (up >= 0))
    if inside.size:  # else it comes in at a corner
        at = x[inside[0]]
        axes.text(at, total - at, f"{total:g}", **OF_LINES)


def _is_log(axes: "Axes") -> bool:
    return axes.get_xscale() == "log"
