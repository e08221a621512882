"""Pictures of a trained digits model, in one style: readable, safe for the colour-blind."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from consilience.datasets.digits import QUADRANTS, assemble, likeliest_word
from consilience.datasets.writing import replacing
from consilience.evaluation.plot_completions import Completion, plot_completions
from consilience.evaluation.style import BLUE, GREY, ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Corner (x, y) of each quadrant in pixels, for its frame.
CORNERS = dict(zip(QUADRANTS, [(0, 0), (4, 0), (0, 4), (4, 4)], strict=True))


def completions(
    truth: Mapping[str, np.ndarray],
    generated: Mapping[tuple[str, ...], Mapping[str, np.ndarray]],
) -> "Figure":
    """Digits completed from each subset; what was given is framed.

    Args:
        truth: measured modalities of the columns, `[columns, *event]`.
        generated: for each subset given, the modalities that were generated from it.
    """
    figure = plot_completions(
        truth, generated, _digit, size=(1.2, 1.42), title=_line_title
    )
    figure.suptitle(
        "Test digits completed from what was given (framed in blue): posterior means, "
        "blurred where\nnothing is certain. Below, the likeliest of the ten words; "
        "orange where it is not the truth."
    )
    return figure


def describe(given: tuple[str, ...]) -> str:
    """A short name for a subset of the five modalities."""
    names = {
        QUADRANTS: "all quadrants",
        ("upper_left", "upper_right"): "upper half",
        ("upper_left", "lower_left"): "left half",
    }
    image = tuple(name for name in QUADRANTS if name in given)
    words = [names.get(image, " + ".join(n.replace("_", " ") for n in image))]
    words += ["word"] if "word" in given else []
    return " + ".join(word for word in words if word) or "nothing"


def _line_title(given: tuple[str, ...]) -> str:
    return "given:\n" + describe(given)


def _digit(axes: "Axes", shown: Completion) -> None:
    from matplotlib.patches import Rectangle

    image = assemble(shown.values)
    axes.imshow(image, cmap="gray_r", vmin=0, vmax=1, extent=(0, 8, 8, 0))
    axes.set(xlim=(-0.4, 8.4), ylim=(8.4, -0.4))
    for name in shown.given:
        if name in CORNERS:
            frame = {"fill": False, "edgecolor": BLUE, "linewidth": 1.8}
            axes.add_patch(Rectangle(CORNERS[name], 4, 4, **frame))
    word = str(likeliest_word(shown.values["word"]))
    wrong = word != str(likeliest_word(shown.truth["word"]))
    color = BLUE if "word" in shown.given else ORANGE if wrong else GREY
    axes.set_xlabel(word, color=color, labelpad=2)


def save(figure: "Figure", path: Path, **settings) -> None:
    """Write a figure, with settings of `savefig`, and forget it."""
    import matplotlib.pyplot as plt

    try:
        with replacing(path) as partial:
            figure.savefig(partial, format=path.suffix.removeprefix("."), **settings)
    finally:
        plt.close(figure)
