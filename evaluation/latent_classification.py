"""Do latents know the class? A linear classifier on draws of q(z | x_S)."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.given import Given, mean_of_rows, named_subsets
from consilience.evaluation.labels import check_labels
from consilience.inference.contract import require_data
from consilience.inference.posterior import posterior
from consilience.nn.executables import traced_once
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


class LatentClassification(NamedTuple):
    """Accuracies of linear classifiers on latents, by subset S.

    Attributes:
        given: the subsets S, each as names.
        value: share of test draws in the right class.
        standard_error: over test rows, the classifier being fixed.
        left_out: test rows without any of S, which do not count.
        left_out_of_training: training rows without any of S.
    """

    given: tuple[tuple[str, ...], ...]
    value: Float[np.ndarray, " subsets"]
    standard_error: Float[np.ndarray, " subsets"]
    left_out: Int[np.ndarray, " subsets"]
    left_out_of_training: Int[np.ndarray, " subsets"]

    def to_dataframe(self):
        """A pandas DataFrame, one line for each S."""
        import pandas as pd

        columns = self._asdict() | {"given": [" + ".join(g) for g in self.given]}
        return pd.DataFrame(columns)


@checked_kinds
@traced_once()
def latent_classification(
    rng_key: Key[Array, ""],
    guide: Callable,
    params: dict,
    train: tuple[MultimodalData, Shaped[Array | np.ndarray, " rows"]],
    test: tuple[MultimodalData, Shaped[Array | np.ndarray, " test_rows"]],
    subsets: Sequence[Sequence[str]] | None = None,
    *,
    num_samples: int = 1,
    site: str = "z",
    chunk_size: int = 1000,
) -> LatentClassification:
    """Accuracy, on test rows, of logistic regression on draws of q(z | x_S).

    For each S one classifier (multinomial, standardised inputs, scikit-learn's default
    ridge) learns from draws for the training rows and is judged on draws for the test
    rows. S is taken as far as a row has it; rows without any of S are left out and counted.

    Args:
        rng_key: random key.
        guide: q(z | x_S).
        params: its trained parameters.
        train: training rows and their classes `[N]`, whole numbers or names.
        test: test rows and their classes.
        subsets: S by names; by default each single modality, all but each, and all.
        num_samples: draws a row; a test row counts by its share of right ones.
        site: the latent, by default the shared one; further axes are flattened.
        chunk_size: rows at once.

    Raises:
        TypeError: rows are no `MultimodalData`.
        ValueError: labels are not one a row; a name or the site is unknown; a subset is
            empty, comes twice or is nowhere present; training rows with it have one class.
    """
    check_positive(num_samples=num_samples, chunk_size=chunk_size)
    sets = [_checked(*part) for part in (("train", *train), ("test", *test))]
    tables = [named_subsets(data, subsets) for data, _ in sets]
    settings = {"num_samples": num_samples, "chunk_size": chunk_size}

    def draws(key: Key[Array, ""], data: MultimodalData, given: Given) -> np.ndarray:
        found = posterior(key, guide, params, data, given.subset, **settings)
        if site not in found:
            raise ValueError(f"site: expected one of {', '.join(found)}, got {site!r}")
        return np.asarray(found[site]).reshape(num_samples, data.size, -1)

    found = []
    for index, given in enumerate(zip(*tables, strict=True)):
        keys = jax.random.split(jax.random.fold_in(rng_key, index))
        parts = [
            (draws(key, data, subset), labels, subset.rows)
            for key, (data, labels), subset in zip(keys, sets, given, strict=True)
        ]
        right = _right(given[0].names, *parts)
        found.append((*mean_of_rows(right), *(int((~g.rows).sum()) for g in given)))
    value, error, left_train, left_test = map(np.array, zip(*found, strict=True))
    names = tuple(given.names for given in tables[0])
    return LatentClassification(names, value, error, left_test, left_train)


def _right(names: tuple[str, ...], train: tuple, test: tuple) -> np.ndarray:
    """`[N]`, share of a test row's draws in its class; nan for rows without any of S."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    (z, labels, rows), (z_test, labels_test, rows_test) = train, test
    if len(np.unique(labels[rows])) < 2:
        raise ValueError(
            f"train: expected 2 classes or more in rows with any of {names}, got "
            f"{np.unique(labels[rows]).tolist()}"
        )
    classifier = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    points = z[:, rows].reshape(-1, z.shape[-1])
    classifier.fit(points, np.tile(labels[rows], len(z)))
    said = classifier.predict(z_test.reshape(-1, z.shape[-1])).reshape(len(z_test), -1)
    return np.where(rows_test, (said == labels_test).mean(0), np.nan)


def _checked(
    argument: str, data: object, labels: object
) -> tuple[MultimodalData, np.ndarray]:
    require_data(data)
    return data, check_labels(f"{argument}: labels", labels, data.size)
