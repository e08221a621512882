"""Models ranked: differences of log-likelihoods with their paired standard errors."""

from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.style import BLUE, GREY, ORANGE, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from pandas import DataFrame

COLUMNS = ("elpd", "elpd_diff", "dse", "weight")


@styled
def plot_comparison(table: "DataFrame") -> "Figure":
    """Differences to the reference ± 2 paired standard errors; weights beside them.

    A filled marker differs from the reference by more than 2 standard errors.

    Args:
        table: of `compare`.

    Raises:
        ValueError: a column of that table is missing.
    """
    import matplotlib.pyplot as plt

    missing = [c for c in COLUMNS if c not in getattr(table, "columns", ())]
    if missing:
        raise ValueError(
            f"table: expected the table of `compare`, got one without {', '.join(missing)}"
        )
    size = (8.5, 0.6 * len(table) + 1.2)
    figure, axes = plt.subplots(figsize=size, layout="constrained")
    axes.axvline(0, color=GREY, linestyle="--", linewidth=1, zorder=0)
    for i, (_, model) in enumerate(table.iterrows()):
        _model(axes, i, model)
    names = [str(name) for name in table.index]
    axes.set(
        yticks=np.arange(len(table)),
        yticklabels=names,
        ylim=(len(table) - 0.5, -0.5),
        xlabel=f"log-likelihood less that of “{_reference(table)}”, nats over all rows;\n"
        "± 2 paired standard errors, filled where they exclude 0",
    )
    axes.tick_params("y", length=0)
    axes.margins(x=0.08)
    return figure


def _model(axes: "Axes", i: int, model) -> None:
    clear = abs(model.elpd_diff) > 2 * model.dse
    look = {"color": BLUE, "marker": "o", "markersize": 8, "capsize": 4}
    axes.errorbar(
        model.elpd_diff,
        i,
        xerr=2 * model.dse if model.dse else None,
        markerfacecolor=BLUE if clear else "white",
        markeredgewidth=1.8,
        linewidth=1.8,
        **look,
    )
    count, _, what = str(model.get("diag_elpd") or "").strip().partition(" ")
    warned = f"rows with {what}: {count}" if what else ""
    side = {"transform": axes.get_yaxis_transform()}
    lift = 0.18 if warned else 0
    axes.text(1.02, i - lift, f"weight {model.weight:.2f}", va="center", **side)
    axes.text(1.02, i + lift, warned, va="center", color=ORANGE, fontsize=10, **side)


def _reference(table: "DataFrame") -> str:
    """The model of no difference to itself: the best one, unless `compare` was told."""
    same = table.index[(table.elpd_diff == 0) & (table.dse == 0)]
    return str(same[0]) if len(same) else "the reference"
