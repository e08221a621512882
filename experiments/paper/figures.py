"""Figures 1, 4 and 5: latents and reconstructions of Table 3's first data set.

    python -m consilience.experiments.paper.figures --out paper

Trains the rows of Table 3 anew, each kept in a file of its own once it is trained.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment

from consilience.datasets.nonlinear_simulators import LABEL
from consilience.evaluation.style import color, marker, styled
from consilience.experiments.options import whole_number
from consilience.experiments.paper import table3
from consilience.experiments.paper.nonlinear import ROWS, Row
from consilience.experiments.paper.training import train_seeds
from consilience.inference import generate, posterior

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS, LOOK = 1500, {"s": 4, "alpha": 0.5, "linewidths": 0}
# Rows and bound of each picture.
PICTURES = {
    "figure1": ((ROWS[0], ROWS[2], ROWS[4], ROWS[6]), "masked"),
    "figure4": (ROWS, "masked"),
    "figure5": (ROWS, "mixture"),
}


class Panel(NamedTuple):
    """A column of a picture.

    Attributes:
        title: what it shows.
        z: latents.
        x: what was measured, or E[x | z].
    """

    title: str
    z: Float[np.ndarray, "rows 2"]
    x: Float[np.ndarray, "rows 2"]


def write_figures(
    folder: Path, steps: int, rows: int, pictures: Mapping[str, tuple] = PICTURES
) -> list[Path]:
    """Train what is not kept yet, and write one file a picture.

    Args:
        folder: of pictures; `latents/` in it keeps what was trained.
        steps: of each training.
        rows: of the data set.
        pictures: rows and bound by name.
    """
    simulated = table3.case(0, rows).simulated
    labels = np.asarray(simulated.data.values[LABEL])[:POINTS]
    observed = np.asarray(simulated.data.values["x"])[:POINTS]
    truth = Panel("truth", np.asarray(simulated.latents)[:POINTS], observed)
    written = []
    for name, (methods, bound) in pictures.items():
        found = [
            trained(folder / "latents", Row(*m, bound), steps, rows) for m in methods
        ]
        panels = [truth, *(aligned(panel, truth.z) for panel in found)]
        written.append(folder / f"{name}.png")
        _save(draw(panels, labels), written[-1])
    return written


def trained(folder: Path, row: Row, steps: int, rows: int) -> Panel:
    """One posterior draw a row, and the mean of x there; kept as a file."""
    prior = "" if row.aggregation.endswith("Mixture") else f"\n{row.prior} prior"
    path = folder / f"{row.bound}-{row.aggregation}-{row.prior}-{steps}-{rows}.npz"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        z, x = _draws(row, steps, rows)
        np.savez_compressed(path, z=z, x=x)
    with np.load(path, allow_pickle=False) as kept:
        return Panel(row.aggregation + prior, kept["z"], kept["x"])


def _draws(row: Row, steps: int, rows: int) -> tuple[np.ndarray, np.ndarray]:
    svi, case = table3.programs(row, steps), table3.case(0, rows)
    data = case.simulated.data
    settings = {"steps": steps, "batch_size": table3.BATCH}
    params = train_seeds(case.key_train[None], svi, [data], **settings)[0]
    some, key = data.take(np.arange(POINTS)), case.key_measure
    z = posterior(key, svi.guide, params, some, num_samples=1)["z"][0]
    made = generate(key, svi.model, svi.guide, params, some, mean=True)
    return np.asarray(z), np.asarray(made["x"][0])


def aligned(panel: Panel, truth: Float[np.ndarray, "rows 2"]) -> Panel:
    """Latents in the order and with the signs of the true ones: neither is identified."""
    dims = truth.shape[1]
    both = np.corrcoef(truth.T, panel.z.T)[:dims, dims:]
    _, order = linear_sum_assignment(np.abs(both), maximize=True)
    signs = np.sign(both[np.arange(dims), order])
    return panel._replace(z=panel.z[:, order] * signs)


@styled
def draw(panels: Sequence[Panel], labels: np.ndarray) -> "Figure":
    """Latents above, measurements or their reconstructions below, coloured by label."""
    import matplotlib.pyplot as plt

    size = (1.9 * len(panels) + 0.6, 4.4)
    figure, grid = plt.subplots(2, len(panels), figsize=size, layout="constrained")
    for axes, panel in zip(grid.T, panels, strict=True):
        for label in np.unique(labels):
            some = {"color": color(int(label)), "marker": marker(int(label)), **LOOK}
            for each, points in zip(axes, (panel.z, panel.x), strict=True):
                each.scatter(*points[labels == label].T, **some)
        axes[0].set_title(panel.title, fontsize=9)
        axes[1].set(xlim=grid[1, 0].get_xlim(), ylim=grid[1, 0].get_ylim())
        for each in axes:
            each.tick_params(labelsize=7)
    grid[0, 0].set_ylabel("latents")
    grid[1, 0].set_ylabel("x, reconstructed")
    return figure


def _save(figure: "Figure", path: Path) -> None:
    import matplotlib.pyplot as plt

    figure.savefig(path)
    plt.close(figure)


def main(words: Sequence[str] | None = None) -> None:
    """The command."""
    budget = table3.BUDGETS["default"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("paper"), help="folder")
    parser.add_argument("--steps", type=whole_number(1), default=budget.steps)
    parser.add_argument("--rows", type=whole_number(POINTS), default=budget.rows)
    options = parser.parse_args(words)
    for path in write_figures(options.out, options.steps, options.rows):
        print(path)


if __name__ == "__main__":
    main()
