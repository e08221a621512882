"""Images of several modalities side by side in one panel."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from consilience.evaluation.style import BLUE, GREY

if TYPE_CHECKING:
    from matplotlib.axes import Axes

GAP = 0.12  # between images, in heights of one
UNIT = 0.95  # inches that images are high
CHARACTER = 0.075  # inches, of the names


class Strips:
    """Draws images of height 1, each on the grey scale of its modality's true ones.

    Args:
        truth: by modality, `[examples, H, W]` or `[examples, H, W, C]` with one channel
            or, from 0 to 1 or 0 to 255, three or four.
        room: inches that a panel may be wide.

    Raises:
        ValueError: a modality is no image.
    """

    def __init__(self, truth: Mapping[str, np.ndarray], room: float):
        for name, value in truth.items():
            shape = np.shape(value)[1:]
            if not (len(shape) == 2 or (len(shape) == 3 and shape[2] in (1, 3, 4))):
                raise ValueError(
                    f"truth: {name!r}: expected images [H, W] or [H, W, C] of 1, 3 or 4 "
                    f"channels, got values of shape {shape}; give `draw` for others"
                )
        self.limits = {name: _limits(np.asarray(x)) for name, x in truth.items()}
        self.widths = {n: np.shape(x)[2] / np.shape(x)[1] for n, x in truth.items()}

        total = sum(self.widths.values()) + GAP * len(self.widths)
        self.unit = min(UNIT, room / total)
        self.size = self.unit * total, self.unit * 1.15

    def draw(self, axes: "Axes", completion) -> None:
        """All modalities; frames around given ones, names above the truth."""
        left = 0.0
        for name, value in completion.values.items():
            right = left + self.widths[name]
            self._image(axes, name, value, (left, right))
            if name in completion.given:
                _frame(axes, left, right)
            if completion.is_truth and len(completion.values) > 1:
                self._name(axes, name, left)
            left = right + GAP
        axes.set(xlim=(-0.05, left - GAP + 0.05), ylim=(-0.05, 1.05), aspect="equal")

    def _name(self, axes: "Axes", name: str, left: float) -> None:
        """Aslant if one of all names is wider than its image."""
        look = {"va": "bottom", "fontsize": 9, "color": GREY, "rotation_mode": "anchor"}
        if any(CHARACTER * len(n) > self.unit * w for n, w in self.widths.items()):
            look |= {"rotation": 30, "ha": "left"}
        else:
            look["ha"], left = "center", left + self.widths[name] / 2
        axes.text(left, 1.08, name.replace("_", " "), **look)

    def _image(self, axes: "Axes", name: str, value, ends: tuple[float, float]) -> None:
        low, high = self.limits[name]
        value = np.asarray(value, float)
        value = value[..., 0] if value.ndim == 3 and value.shape[2] == 1 else value
        scaled = np.clip((value - low) / (high - low), 0, 1)
        if scaled.ndim == 3:
            scaled = np.nan_to_num(scaled, nan=0.9)
        look = {"cmap": _grey(), "vmin": 0, "vmax": 1, "aspect": "auto"}
        axes.imshow(scaled, extent=(*ends, 0, 1), **look)


def _limits(images: np.ndarray) -> tuple[float, float]:
    """Of colours 0 to 1 or 255; of greys the range of the truth."""
    if images.ndim == 4 and images.shape[3] > 1:
        return 0.0, 255.0 if np.nanmax(images) > 1 else 1.0
    low, high = float(np.nanmin(images)), float(np.nanmax(images))
    return low, high if high > low else low + 1


def _grey():
    from matplotlib import colormaps

    return colormaps["gray"].with_extremes(bad="0.9")


def _frame(axes: "Axes", left: float, right: float) -> None:
    from matplotlib.patches import Rectangle

    look = {"fill": False, "edgecolor": BLUE, "linewidth": 2.2, "clip_on": False}
    axes.add_patch(Rectangle((left, 0), right - left, 1, **look))
