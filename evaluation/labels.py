"""True classes of rows, and what classifiers say of them."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Array, Shaped

from consilience.datasets.data import MultimodalData


def plain(labels: object) -> Shaped[np.ndarray, "..."]:
    """Labels as an array; names that are held as objects, as pandas does, as strings."""
    labels = np.asarray(labels)
    if labels.dtype.kind == "O" and {type(x) for x in labels.flat} in ({str}, {int}):
        return np.array(labels.tolist()).reshape(labels.shape)
    return labels


def check_labels(
    argument: str, labels: object, num_rows: int
) -> Shaped[np.ndarray, " rows"]:
    """Whole numbers or names, one a row.

    Raises:
        ValueError: another number of them, or numbers that may be broken.
    """
    labels = plain(labels)
    if labels.shape != (num_rows,) or labels.dtype.kind not in "iubSU":
        raise ValueError(
            f"{argument}: expected whole numbers or names of shape ({num_rows},), one a "
            f"row, got {labels.dtype} of shape {labels.shape}"
        )
    return labels


def check_classifiers(
    classifiers: Mapping[str, Callable], data: MultimodalData, least: int = 1
) -> tuple[str, ...]:
    """The modalities that have a classifier, in the order of the data.

    Raises:
        ValueError: too few, or of unknown modalities.
    """
    for name in classifiers:
        data.index(name)
    if len(classifiers) < least:
        raise ValueError(
            f"classifiers: expected {least} or more, got {len(classifiers)}"
        )
    return tuple(name for name in data.names if name in classifiers)


def classified(
    classifiers: Mapping[str, Callable],
    name: str,
    values: Shaped[Array | np.ndarray, "rows ..."],
) -> Shaped[np.ndarray, " rows"]:
    """What the classifier of a modality says.

    Raises:
        ValueError: it does not say one whole number or name a row.
    """
    return check_labels(
        f"classifiers[{name!r}]", classifiers[name](values), len(values)
    )
