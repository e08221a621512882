"""One style for all pictures: readable, and safe for the colour-blind."""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import wraps
from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito's palette, without its yellow, which is too pale for lines on white.
BLUE, ORANGE, GREEN, PURPLE = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
SKY, AMBER, BLACK, GREY = "#56B4E9", "#E69F00", "#000000", "#666666"
COLORS = (BLUE, ORANGE, GREEN, PURPLE, AMBER, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":")
STYLE = {
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 12,
    "figure.dpi": 110,
    "savefig.dpi": 150,
    "legend.frameon": False,
}
WIDTH = 13.0  # inches that a figure may have
MOST_COLUMNS = 4


def styled(draw: Callable) -> Callable:
    """A picture in this style, whatever the user's own is."""

    @wraps(draw)
    def inside(*args, **kwargs):
        import matplotlib.pyplot as plt

        with plt.rc_context(STYLE):
            drawn = draw(*args, **kwargs)
            interactive = plt.isinteractive()
        # Set by the backend, which the first figure loads: notebooks show all pictures.
        plt.rcParams["interactive"] = interactive
        return drawn

    return inside


def panels(
    count: int, size: tuple[float, float], labels: tuple[str, str], **settings
) -> "tuple[Figure, list[Axes]]":
    """A figure of `count` panels, `size` inches each, in even lines of up to four.

    Axes are shared; labels of x stand below and those of y left of the outer ones.
    """
    import matplotlib.pyplot as plt

    lines = ceil(count / MOST_COLUMNS)
    columns = ceil(count / lines)
    figure, grid = plt.subplots(
        lines,
        columns,
        figsize=(columns * size[0] + 0.8, lines * size[1] + 0.9),
        squeeze=False,
        sharex=True,
        sharey=True,
        **{"layout": "constrained"} | settings,
    )
    figure.get_layout_engine().set(h_pad=0.08)
    for i, axes in enumerate(grid.flat):
        axes.set_visible(i < count)
        if i + columns >= count:
            axes.set_xlabel(labels[0])
            axes.tick_params("x", labelbottom=True)
        if i % columns == 0:
            axes.set_ylabel(labels[1])
    return figure, list(grid.flat[:count])


def legend_below(figure: "Figure", handles: Sequence) -> None:
    """One legend for all panels, for which the figure grows."""
    widths = [0.6 + 0.08 * len(handle.get_label()) for handle in handles]
    room = figure.get_figwidth() - 0.3
    columns = len(handles) if sum(widths) < room else max(1, int(room / max(widths)))
    lines = ceil(len(handles) / columns)
    figure.set_figheight(figure.get_figheight() + 0.25 * lines)
    figure.legend(handles=handles, loc="outside lower center", ncols=columns)


def color(index: int) -> str:
    """One of seven."""
    return COLORS[index % len(COLORS)]


def marker(index: int) -> str:
    """One of six: with the colour 42 pairs."""
    return MARKERS[index % len(MARKERS)]


def line(index: int) -> str:
    """One of four: with the colour 28 pairs."""
    return LINES[index % len(LINES)]


def given(subset: Sequence[str]) -> str:
    """What a panel or row is conditioned on, in words."""
    return "given " + (" + ".join(n.replace("_", " ") for n in subset) or "nothing")


def symbol(name: str) -> str:
    """Coordinates as in formulas, "z[0]" as z₀; other names as they are."""
    found = re.fullmatch(r"(\w)\[([\d, ]+)\]", name)
    return rf"${found[1]}_{{{found[2]}}}$" if found else name.replace("_", " ")


def check_mapping(name: str, value: object, of: str) -> None:
    """Refuse what is no mapping, or an empty one.

    Raises:
        TypeError: no mapping.
        ValueError: nothing in it.
    """
    if not isinstance(value, Mapping):
        raise TypeError(f"{name}: expected a mapping {of}, got {type(value).__name__}")
    if not value:
        raise ValueError(f"{name}: expected a mapping {of}, got an empty one")
