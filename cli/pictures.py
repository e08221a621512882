"""Pictures that commands write."""

from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.style import (
    BLUE,
    color,
    legend_below,
    marker,
    styled,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SUFFIXES = (".png", ".pdf", ".svg")


@styled
def latent_means(frame, present: np.ndarray, names: tuple[str, ...]) -> "Figure":
    """Posterior means of z in its two directions of most variance, by what was there.

    Args:
        frame: of `encode`.
        present: `[N, M]`.
        names: of the modalities.
    """
    import matplotlib.pyplot as plt

    z = frame[
        [c for c in frame if c.startswith("z") and c.endswith("_mean")]
    ].to_numpy()
    centred = z - z.mean(0)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:2].T
    if points.shape[1] == 1:
        points = np.column_stack([points, np.zeros(len(points))])
    patterns, which = np.unique(present, axis=0, return_inverse=True)
    most = np.argsort(-np.bincount(which))[:6]
    figure, axes = plt.subplots(figsize=(6.4, 5.2), layout="constrained")
    handles = []
    for i, pattern in enumerate(most):
        label = " + ".join(
            n for n, p in zip(names, patterns[pattern], strict=True) if p
        )
        look = {"color": color(i), "marker": marker(i), "label": label or "nothing"}
        of = which == pattern
        handles.append(
            axes.scatter(*points[of].T, s=14, alpha=0.7, linewidths=0, **look)
        )
    share = spread[:2] ** 2 / (spread**2).sum()
    share = [*share, 0.0][:2]
    axes.set(
        xlabel=f"first direction of posterior means ({share[0]:.0%} of their variance)",
        ylabel=f"second direction ({share[1]:.0%})",
    )
    legend_below(figure, handles)
    return figure


@styled
def log_likelihoods(table) -> "Figure":
    """log p(S) and log p(rest | S) of each subset, ± 2 standard errors.

    Args:
        table: of `scores.table`.
    """
    import matplotlib.pyplot as plt

    places = np.arange(len(table))
    size = (9, 0.45 * len(table) + 1.4)
    figure, grid = plt.subplots(1, 2, figsize=size, sharey=True, layout="constrained")
    for axes, name, title in zip(
        grid, ("log_p", "log_p_rest"), ("log p(S)", "log p(rest | S)"), strict=True
    ):
        errors = 2 * table[f"{name}_se"]
        look = {"fmt": "o", "color": BLUE, "capsize": 3, "linewidth": 1.6}
        axes.errorbar(table[name], places, xerr=errors, **look)
        axes.set(xlabel=f"{title}, nats a sample")
        axes.margins(x=0.1)
    grid[0].set(yticks=places, yticklabels=table.index, ylabel="given S")
    grid[0].invert_yaxis()
    return figure
