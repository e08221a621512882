"""The picture of a training."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    legend_below,
    styled,
)
from consilience.training.history import History

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {
    "bound": {"bound": BLUE, "validation": ORANGE},
    "reconstruction": {"reconstruction": GREEN},
    "rate": {"rate": PURPLE},
    "beta": {"beta": GREY},
}
TITLES = {"bound": "bound", "rate": "β · rate", "beta": "β"}
NAMES = {"bound": "training rows", "validation": "held-out rows"}
EARLY, OUTLIERS = 0.1, 0.01  # shares of epochs that may leave their panel


@styled
def plot_training(history: History) -> "Figure":
    """Bound, validation, reconstruction, rate and β by epoch, in nats a row.

    A panel for each; what the history does not have is left out. The epoch of the best
    validation bound is marked, and epochs in which steps were skipped. The first tenth
    of them, and the highest and lowest hundredth, may leave their panel.

    Args:
        history: of a fit, `fitted.history`.

    Raises:
        TypeError: no `History`.
        ValueError: one without epochs.
    """
    import matplotlib.pyplot as plt

    _check(history)
    shown = [name for name in PANELS if len(getattr(history, name))]
    figure, grid = plt.subplots(
        1,
        len(shown),
        figsize=(3.2 * len(shown) + 0.8, 3.4),
        squeeze=False,
        layout="constrained",
    )
    for axes, name in zip(grid[0], shown, strict=True):
        lines = _panel(axes, history, PANELS[name])
        axes.set(title=TITLES.get(name, name), xlabel="epoch")
        if name == "bound":
            handles = lines
    grid[0, 0].set_ylabel("nats a row")
    legend_below(figure, handles)
    return figure


def _panel(axes: "Axes", history: History, colors: dict[str, str]) -> list:
    """Lines, marks, and the handles of a legend."""
    from matplotlib.ticker import MaxNLocator

    columns = {n: x for n in colors if len(x := getattr(history, n))}
    handles = []
    for name, values in columns.items():
        look = {"marker": "o", "markersize": 3} if len(values) == 1 else {}
        look |= {"color": colors[name], "linewidth": 1.6}
        handles += axes.plot(values, label=NAMES.get(name, name), **look)
    if "beta" not in columns:
        axes.set_ylim(*_limits(columns.values()))
    axes.set_xlim(-0.5, len(values) - 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True))
    return handles + _marks(axes, history)


def _limits(columns: Iterable[np.ndarray]) -> tuple[float, float]:
    """Where a panel ends, so that the first epochs and spikes do not flatten the rest."""
    later = [values[int(EARLY * len(values)) :] for values in columns]
    finite = [values[np.isfinite(values)] for values in later]
    ends = [np.quantile(x, (OUTLIERS, 1 - OUTLIERS)) for x in finite if len(x)] or [0.0]
    low, high = np.min(ends), np.max(ends)
    margin = 0.1 * (high - low) or 1.0
    return low - margin, high + margin


def _marks(axes: "Axes", history: History) -> list:
    """The best epoch, and those with skipped steps."""
    handles, best = [], history.best_epoch
    if best is not None:
        look = {"color": "0.4", "linestyle": ":", "linewidth": 1.2, "zorder": 0}
        handles.append(axes.axvline(best, label=f"best: epoch {best}", **look))
    skipped = np.flatnonzero(history.skipped)
    if len(skipped):
        text = f"{history.skipped.sum()} steps skipped"
        look = {"transform": axes.get_xaxis_transform(), "clip_on": False}
        look |= {"color": "black", "marker": "|", "linestyle": "none", "label": text}
        handles += axes.plot(skipped, np.zeros(len(skipped)), **look)
    return handles


def _check(history: History) -> None:
    if not isinstance(history, History):
        raise TypeError(
            "history: expected a `History`, such as fitted.history, got "
            f"{type(history).__name__}"
        )
    if not len(history.bound):
        raise ValueError("history: expected one with epochs, got an empty one")
