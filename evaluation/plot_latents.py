"""Draws of the latent by what was given, with the posterior where it is known."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Array, Shaped

from consilience.evaluation.regions import Exact, Plane, check_exact, draw_regions
from consilience.evaluation.style import (
    GREY,
    check_mapping,
    color,
    given,
    legend_below,
    marker,
    panels,
    styled,
    symbol,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Subset = tuple[str, ...]
MOST_COLORS = 7


@styled
def plot_latents(
    draws: Mapping[Subset, Shaped[Array | np.ndarray, "samples rows dims"]],
    exact: Mapping[Subset, Exact] | None = None,
    *,
    labels: Shaped[np.ndarray | Array, " rows"] | None = None,
    dims: Plane = (0, 1),
) -> "Figure":
    """Posterior draws of a few rows, a panel for each subset, all on the same axes.

    Args:
        draws: subset → draws of one latent, as in `posterior(...)["z"]`.
        exact: subset → posterior of the same rows, a batch of MultivariateNormals, as
            `LinearGaussian.posterior` gives, or NUTS of a model with this latent only:
            the regions that hold 50 % and 90 % of it.
        labels: classes of the rows, to colour by; by default each row has its colour.
        dims: the two dimensions to show.

    Raises:
        TypeError: not such mappings.
        ValueError: draws are of other shapes or rows than the rest; a dimension is none of
            theirs; `labels` are not one a row, or rows or labels are more than 7, the
            colours there are; `exact` is of a subset without draws.
    """
    draws = _checked(draws, dims)
    _, rows, latent_dim = next(iter(draws.values())).shape
    for subset, found in (exact or {}).items():
        if subset not in draws:
            raise ValueError(f"exact: expected subsets of `draws`, got {subset!r}")
        check_exact(f"exact[{subset!r}]", found, rows, latent_dim)
    names, groups = _groups(labels, rows)
    axis_labels = tuple(symbol(f"z[{d}]") for d in dims)
    figure, grid = panels(len(draws), (3.1, 3.2), axis_labels, layout="compressed")
    for axes, (subset, values) in zip(grid, draws.items(), strict=True):
        _panel(axes, values[..., list(dims)], groups)
        if exact and subset in exact:
            _exact(axes, exact[subset], dims, groups)
        axes.set(title=given(subset), aspect="equal")
    _square(grid[0])
    legend_below(figure, _handles(names, bool(exact)))
    return figure


def _checked(draws: Mapping, dims: Plane) -> dict[Subset, np.ndarray]:
    check_mapping("draws", draws, "from subsets to draws [S, N, D]")
    arrays = {subset: np.asarray(values) for subset, values in draws.items()}
    rows = next(iter(arrays.values())).shape[1:]
    for subset, values in arrays.items():
        if values.ndim != 3 or values.shape[1:] != rows:
            raise ValueError(
                f"draws[{subset!r}]: expected an array [S, N, D] of the same N and D for "
                f"each subset, got shape {values.shape}"
            )
    if len(dims) != 2 or not all(0 <= d < rows[1] for d in dims):
        raise ValueError(f"dims: expected two of 0 to {rows[1] - 1}, got {dims}")
    return arrays


def _groups(labels, rows: int) -> tuple[list[str], np.ndarray]:
    """Names of the colours, and the colour of each row."""
    name, labels = ("rows", np.arange(rows)) if labels is None else ("labels", labels)
    labels = np.asarray(labels)
    if labels.shape != (rows,):
        raise ValueError(
            f"labels: expected one for each of {rows} rows, got {labels.shape}"
        )
    unique, groups = np.unique(labels, return_inverse=True)
    if len(unique) > MOST_COLORS:
        raise ValueError(
            f"{name}: expected at most {MOST_COLORS}, as many as there are colours that "
            f"can be told apart, got {len(unique)}"
        )
    each = [f"row {x}" if name == "rows" else str(x) for x in unique]
    return each, groups


def _panel(axes: "Axes", values: np.ndarray, groups: np.ndarray) -> None:
    points = values.shape[0] * values.shape[1]
    look = {"s": 8, "alpha": float(np.clip(400 / points, 0.15, 0.5)), "linewidths": 0}
    for i in range(max(groups) + 1):
        chosen = values[:, groups == i].reshape(-1, 2)
        axes.scatter(*chosen.T, color=color(i), marker=marker(i), **look)


def _exact(axes: "Axes", exact: Exact, dims: Plane, groups: np.ndarray) -> None:
    for row in range(len(groups)):
        draw_regions(axes, exact, row, dims, color(int(groups[row])))


def _square(axes: "Axes") -> None:
    """As long a stretch of both dimensions, so that panels are square; for all panels."""
    ends = np.array([axes.get_xlim(), axes.get_ylim()])
    half = np.ptp(ends, 1).max() / 2
    x, y = ends.mean(1)
    axes.set(xlim=(x - half, x + half), ylim=(y - half, y + half))


def _handles(names: list[str], exact: bool) -> list:
    from matplotlib.lines import Line2D

    look = {"linestyle": "", "markersize": 7}
    handles = [
        Line2D([], [], color=color(i), marker=marker(i), label=name, **look)
        for i, name in enumerate(names)
    ]
    if exact:
        label = "exact posterior, 50 % and 90 %"
        handles.append(Line2D([], [], color=GREY, linewidth=1.6, label=label))
    return handles
