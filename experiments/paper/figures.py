"""Figures 1, 4 and 5: latents and reconstructions of Table 3's first data set.

A training of the study leaves what is drawn of it in a file, so that a study that was
stopped and resumed draws the same pictures.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from jaxtyping import Float
from numpyro import handlers
from scipy.optimize import linear_sum_assignment

from consilience.datasets import MultimodalData, Simulated
from consilience.datasets.nonlinear_simulators import LABEL
from consilience.datasets.writing import replacing
from consilience.evaluation.style import color, marker, styled
from consilience.experiments.paper.nonlinear import ROWS, Row
from consilience.experiments.pictures import save
from consilience.inference import posterior

if TYPE_CHECKING:
    from matplotlib.figure import Figure

POINTS, LOOK = 1500, {"s": 4, "alpha": 0.5, "linewidths": 0}
LATENTS = "latents"


class Picture(NamedTuple):
    """Columns of a picture, beside the truth.

    Attributes:
        methods: aggregation and prior of each.
        bound: that they were trained with.
        words: what it shows.
    """

    methods: tuple[tuple[str, str], ...]
    bound: str
    words: str


SHOWN = "Latents and reconstructions of"
FOUR = (ROWS[0], ROWS[2], ROWS[4], ROWS[6])
PICTURES = {
    "figure1": Picture(FOUR, "masked", f"{SHOWN} four rows"),
    "figure4": Picture(ROWS, "masked", f"{SHOWN} all rows, masked bound"),
    "figure5": Picture(ROWS, "mixture", f"{SHOWN} all rows, mixture bound"),
}


class Panel(NamedTuple):
    """A column of a picture.

    Attributes:
        title: what it shows.
        z: latents.
        x: what was measured, or its mean given z.
    """

    title: str
    z: Float[np.ndarray, "rows 2"]
    x: Float[np.ndarray, "rows 2"]


def pictured(row: Row) -> bool:
    """Whether a row stands in a picture."""
    return (row.beta, row.estimator, row.start) == (1, "stratified", "anywhere")


def keep(
    rng_key,
    programs: tuple[Callable, Callable, dict],
    simulated: Simulated,
    row: Row,
    folder: Path,
) -> None:
    """One posterior draw a row and the mean of x there, in a file of `folder`/latents."""
    model, guide, params = programs
    count = min(POINTS, simulated.data.size)
    some = simulated.data.take(np.arange(count))
    z = posterior(rng_key, guide, params, some, num_samples=1)["z"][0]
    x = _mean_at(z, model, params, some)
    path = _file(folder, row)
    path.parent.mkdir(parents=True, exist_ok=True)
    true = {"true_z": simulated.latents[:count], "true_x": some.values["x"]}
    with replacing(path) as partial, open(partial, "xb") as file:
        np.savez_compressed(file, z=z, x=x, label=some.values[LABEL], **true)


def _mean_at(z, model: Callable, params: dict, data: MultimodalData) -> np.ndarray:
    """E[x | z]."""
    program = handlers.substitute(model, data=params | {"z": z})
    with handlers.seed(rng_seed=0), handlers.trace() as trace:
        program(data)
    return np.asarray(trace["x"]["fn"].mean)


def draw_kept(folder: Path) -> list[Path]:
    """Write each picture all of whose rows were kept; which they are."""
    written = []
    for name, picture in PICTURES.items():
        rows = [Row(*method, picture.bound) for method in picture.methods]
        if all(_file(folder, row).exists() for row in rows):
            written.append(folder / f"{name}.png")
            save(draw(*_panels(folder, rows)), written[-1])
    return written


def _panels(folder: Path, rows: Sequence[Row]) -> tuple[list[Panel], np.ndarray]:
    found = []
    for row in rows:
        with np.load(_file(folder, row), allow_pickle=False) as kept:
            truth = Panel("truth", kept["true_z"], kept["true_x"])
            prior = (
                "" if row.aggregation.endswith("Mixture") else f"\n{row.prior} prior"
            )
            panel = Panel(row.aggregation + prior, kept["z"], kept["x"])
            found.append(aligned(panel, truth.z))
            labels = kept["label"]
    return [truth, *found], labels


def _file(folder: Path, row: Row) -> Path:
    return folder / LATENTS / f"{row.bound}-{row.aggregation}-{row.prior}.npz"


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
