"""Rate against distortion, as in Figure 3 of Hirt et al. 2024."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.equal_sums import draw_equal_sums
from consilience.evaluation.rate_table import Mean, Rates
from consilience.evaluation.style import (
    check_mapping,
    color,
    legend_below,
    line,
    marker,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = Rates | Sequence[Rates] | Mapping[float, Rates]
EXPECTED = "from names to `Rates`, sequences of them, or mappings from β to them"

WIDE = 50.0  # greatest rate over the least
SIZES = (13, 11, 9, 7)  # hollow and nested, so that points in one place are all seen


@styled
def plot_rate_distortion(models: Mapping[str, Curve]) -> "Figure":
    r"""Full and cross distortion against rate, ± 2 standard errors, in nats a row.

    Full: KL(q(z|x_O) ‖ p(z)) and −E_{q(z|x_O)} log p(x_O|z). Cross: KL(q(z|x_O) ‖
    q(z|x_S)) and −E_{q(z|x_S)} log p(x_\S|z), means over single modalities S. Down the
    grey lines one is traded for the other, and their sum stays. Rates of several orders of
    magnitude have a logarithmic axis.

    Args:
        models: name → the `Rates` of one model, or of several along a curve, which a
            mapping from β says the β of.

    Raises:
        TypeError: not such a mapping.
        ValueError: an empty one.
    """
    import matplotlib.pyplot as plt

    check_mapping("models", models, EXPECTED)
    curves = {name: _curve(name, found) for name, found in models.items()}
    figure, grid = plt.subplots(1, 2, figsize=(11.4, 4.4), layout="constrained")
    for axes, kind in zip(grid, ("full", "cross"), strict=True):
        handles = [
            _draw(axes, i, name, curve, kind)
            for i, (name, curve) in enumerate(curves.items())
        ]
        axes.margins(0.2)
        _wide(axes, [_figures(r, kind)[0].value for c in curves.values() for _, r in c])
        handles += draw_equal_sums(axes)
        axes.set(
            xlabel=f"{kind} rate, nats a row",
            ylabel=f"{kind} distortion, nats a row",
        )
    legend_below(figure, handles)
    return figure


def _wide(axes: "Axes", rates: Sequence[float]) -> None:
    """A logarithmic scale for rates of several orders of magnitude."""
    if min(rates) > 0 and WIDE * min(rates) < max(rates) < np.inf:
        axes.set_xscale("log")


def _curve(name: str, found: Curve) -> list[tuple[str, Rates]]:
    """What stands beside each point, and the point."""
    if isinstance(found, Mapping):
        betas = sorted(found)
        texts = [f"β = {beta:g}" if beta == betas[0] else f"{beta:g}" for beta in betas]
        curve = [(t, found[beta]) for t, beta in zip(texts, betas, strict=True)]
    elif isinstance(found, Sequence) and not isinstance(found, Rates):
        curve = [("", rates) for rates in found]
    else:
        curve = [("", found)]
    for _, rates in curve or [("", None)]:
        if not isinstance(rates, Rates):
            raise TypeError(
                f"models[{name!r}]: expected a mapping {EXPECTED}, got "
                f"{type(rates).__name__}"
            )
    return curve


def _figures(rates: Rates, kind: str) -> tuple[Mean, Mean]:
    if kind == "full":
        return rates.full_rate, rates.full_reconstruction["total"]
    return rates.cross_rate, rates.cross_reconstruction["total"]


def _draw(axes: "Axes", i: int, name: str, curve: list, kind: str):
    """Points with their errors, joined."""
    found = [_figures(rates, kind) for _, rates in curve]
    x, y = (np.array([pair[j].value for pair in found]) for j in (0, 1))
    x_error, y_error = (
        2 * np.array([pair[j].standard_error for pair in found]) for j in (0, 1)
    )
    container = axes.errorbar(
        x,
        -y,
        xerr=x_error,
        yerr=y_error,
        color=color(i),
        marker=marker(i),
        linestyle=line(i),
        linewidth=1.4,
        elinewidth=1.2,
        markersize=SIZES[i % len(SIZES)],
        markerfacecolor="none",
        markeredgewidth=1.8,
        label=name,
    )
    for (text, _), at in zip(curve, zip(x, -y, strict=True), strict=True):
        _beside(axes, at, text, color(i))
    return container


def _beside(axes: "Axes", at: tuple[float, float], text: str, color: str) -> None:
    from matplotlib.patheffects import withStroke

    halo = [withStroke(linewidth=3, foreground="white")]
    look = {"textcoords": "offset points", "fontsize": 10, "path_effects": halo}
    axes.annotate(text, at, (8, 7), color=color, **look)
