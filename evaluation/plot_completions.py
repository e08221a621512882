"""Modalities completed from what was given, beside the truth."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from consilience.evaluation.image_strips import Strips
from consilience.evaluation.style import WIDTH, check_mapping, given, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Mapping[str, np.ndarray]
WIDEST = WIDTH - 1.5  # inches of all columns, beside the titles of lines


class Completion(NamedTuple):
    """One example under one subset.

    Attributes:
        values: by modality; what was given is the truth.
        given: what was, by names.
        truth: by modality.
        is_truth: whether this is the truth itself, in the line above all subsets.
    """

    values: dict[str, np.ndarray]
    given: tuple[str, ...]
    truth: dict[str, np.ndarray]
    is_truth: bool


def _title(subset: tuple[str, ...]) -> str:
    return given(subset).replace("given ", "given\n").replace(" + ", "\n+ ")


@styled
def plot_completions(
    truth: Values,
    generated: Mapping[tuple[str, ...], Values],
    draw: "Callable[[Axes, Completion], object] | None" = None,
    *,
    size: tuple[float, float] | None = None,
    title: Callable[[tuple[str, ...]], str] = _title,
) -> "Figure":
    """A line for each subset given, a column for each example; the truth above them.

    Without `draw` modalities are images side by side, `[H, W]` or `[H, W, C]`, grey or of
    colours from 0 to 1, on the scale of the truth; what was given is framed in blue. A
    truth that is missing (NaN) is light grey, and never given.

    Args:
        truth: by modality, `[columns, *event]`.
        generated: subset → by modality, `[columns, *event]`, one draw or the mean of each.
        draw: what to do with the axes of one completion, in place of images.
        size: of one completion, in inches.
        title: of the line of a subset.

    Raises:
        TypeError: not such mappings.
        ValueError: a modality or subset is not among those of `truth`, columns differ,
            or without `draw` values are no images.
    """
    import matplotlib.pyplot as plt

    columns = _columns(truth, generated)
    shown = next(iter(generated.values()))
    if draw is None:
        strips = Strips({name: truth[name] for name in shown}, WIDEST / columns)
        draw, size = strips.draw, size or strips.size
    width, height = size or (1.1, 1.4)
    shrink = min(1.0, WIDEST / columns / width)
    figure, grid = plt.subplots(
        1 + len(generated),
        columns,
        figsize=(
            shrink * width * columns + 1.5,
            shrink * height * (1 + len(generated)) + 0.6,
        ),
        layout="constrained",
        squeeze=False,
    )
    lines = {None: truth} | dict(generated)
    for row, (subset, values) in zip(grid, lines.items(), strict=True):
        for j, axes in enumerate(row):
            axes.set(xticks=[], yticks=[])
            axes.spines[:].set_visible(False)
            chosen = {name: values[name] for name in shown}
            draw(axes, _completion(j, subset, chosen, truth))
        _row_title(row[0], "the truth" if subset is None else title(subset))
    return figure


def _columns(truth: Values, generated: Mapping) -> int:
    check_mapping("truth", truth, "from modalities to arrays")
    check_mapping("generated", generated, "from subsets to modalities")
    columns = len(next(iter(truth.values())))
    every = {"truth": truth} | {f"generated[{s!r}]": x for s, x in generated.items()}
    for name, values in every.items():
        check_mapping(name, values, "from modalities to arrays")
        for modality, value in values.items():
            if modality not in truth or len(value) != columns:
                raise ValueError(
                    f"{name}: expected modalities {', '.join(truth)} of {columns} "
                    f"examples, got {len(value)} of {modality!r}"
                )
    for subset in generated:
        if isinstance(subset, str) or not {*subset} <= {*truth}:
            raise ValueError(
                f"generated: expected tuples of {', '.join(truth)}, got {subset!r}"
            )
    return columns


def _completion(j: int, subset, values: Values, truth: Values) -> Completion:
    one = {name: np.asarray(value[j]) for name, value in truth.items()}
    names = tuple(n for n in subset or () if not _missing(one[n]))
    shown = {n: one[n] if n in names else np.asarray(x[j]) for n, x in values.items()}
    return Completion(shown, names, one, subset is None)


def _missing(value: np.ndarray) -> bool:
    return value.dtype.kind == "f" and bool(np.isnan(value).all())


def _row_title(axes: "Axes", text: str) -> None:
    axes.set_ylabel(text, rotation=0, ha="right", va="center", labelpad=8)
