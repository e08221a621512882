"""What classifiers are worth on real data."""

from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Array, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.given import Mean, mean_of_rows
from consilience.evaluation.labels import check_classifiers, check_labels, classified
from consilience.inference.contract import require_data


def classifier_accuracy(
    classifiers: Mapping[str, Callable],
    data: MultimodalData,
    labels: Shaped[Array | np.ndarray, " rows"],
) -> dict[str, Mean]:
    """Share of real values in the right class: what coherence can be expected to reach.

    Args:
        classifiers: as in `coherence`.
        data: N rows, best those of the test set; a row counts for a modality where it has
            all entries of it.
        labels: their true classes `[N]`.

    Returns:
        modality name → share with its standard error over rows; nan where no row counts.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: labels or a classifier's answers are not one a row.
    """
    require_data(data)
    labels = check_labels("labels", labels, data.size)
    values = data.unstandardize({name: data.filled(name) for name in data.names})
    found = {}
    for name in check_classifiers(classifiers, data):
        right = classified(classifiers, name, values[name]) == labels
        whole = np.asarray(data.observed(name)).reshape(data.size, -1).all(-1)
        found[name] = mean_of_rows(np.where(whole, right, np.nan))
    return found
