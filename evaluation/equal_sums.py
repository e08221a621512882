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
        if ends[0] < ends[1] and _length(axes, total, ends) > SHORTEST:
            x = (np.geomspace if _is_log(axes) else np.linspace)(*ends, POINTS)
            look = {"color": "0.75", "linewidth": 0.9, "zorder": 0}
            drawn = axes.plot(x, total - x, label=SUM, **look)
            _name(axes, total, x)
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


def _length(axes: "Axes", total: float, ends: tuple[float, float]) -> float:
    """How far a line goes, in shares of the panel, across or down."""
    points = [(x, total - x) for x in ends]
    to_axes = axes.transData + axes.transAxes.inverted()
    return float(np.ptp(to_axes.transform(points), axis=0).max())


def _name(axes: "Axes", total: float, x: np.ndarray) -> None:
    to_axes = axes.transData + axes.transAxes.inverted()
    across, up = to_axes.transform(np.stack([x, total - x], 1)).T
    [inside] = np.nonzero((across >= 0.02) & (up <= 0.94) & (up >= 0))
    if inside.size:  # else it comes in at a corner
        at = x[inside[0]]
        axes.text(at, total - at, f"{total:g}", **OF_LINES)


def _is_log(axes: "Axes") -> bool:
    return axes.get_xscale() == "log"
