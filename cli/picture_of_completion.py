"""A picture of completed tables: do completed values look like measured ones?"""

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

import consilience as cs
from consilience.evaluation.style import BLUE, GREY, MOST_COLUMNS, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


@styled
def completed_columns(
    rows: cs.MultimodalData, measured: dict, completed: dict
) -> "Figure":
    """Mean of each column where it was measured against its mean where it was completed.

    On the line: samples that lack a value are like those that have it. Bars are ± 2
    standard errors of the means.

    Args:
        rows: with what is missing.
        measured: values by modality, in their first units.
        completed: predictions likewise.
    """
    missing = {n: ~np.asarray(rows.observed(n)) for n in rows.names}
    shown = [n for n in rows.names if missing[n].any()] or list(rows.names)
    figure, grid = _grid(len(shown))
    for axes, name in zip(grid, shown, strict=True):
        x, x_error = _by_column(measured[name], ~missing[name])
        y, y_error = _by_column(completed[name], missing[name])
        look = {"fmt": "o", "color": BLUE, "ecolor": "0.75", "markersize": 4}
        axes.errorbar(x, y, 2 * y_error, 2 * x_error, elinewidth=0.9, **look)
        ends = np.array(
            [
                f((axes.get_xlim()[i], axes.get_ylim()[i]))
                for i, f in ((0, min), (1, max))
            ]
        )
        axes.plot(ends, ends, color=GREY, linestyle="--", linewidth=1, zorder=0)
        axes.set(title=name, xlim=ends, ylim=ends)
    return figure


def _by_column(values: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each column over the rows that count, and its standard error; NaN of none."""
    flat = np.where(counts, values, np.nan).reshape(len(values), -1).astype(float)
    size = (~np.isnan(flat)).sum(0)
    some = np.maximum(size, 1)
    mean = np.where(size > 0, np.nansum(flat, 0) / some, np.nan)
    variance = np.nansum((flat - mean) ** 2, 0) / np.maximum(size - 1, 1)
    return mean, np.sqrt(variance / some)


def _grid(count: int) -> "tuple[Figure, list[Axes]]":
    import matplotlib.pyplot as plt

    columns = min(count, MOST_COLUMNS)
    lines = ceil(count / columns)
    size = (3.2 * columns + 0.6, 3.1 * lines + 0.3)
    figure, grid = plt.subplots(
        lines, columns, figsize=size, squeeze=False, layout="constrained"
    )
    for i, axes in enumerate(grid.flat):
        axes.set_visible(i < count)
    figure.supxlabel("mean of a column where it was measured")
    figure.supylabel("mean where it was completed")
    return figure, list(grid.flat[:count])
