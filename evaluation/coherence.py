"""Coherence: do generated modalities show what the given ones show?"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Float, Int, Key, Shaped

from consilience.datasets.data import MultimodalData
from consilience.evaluation.given import Given, Mean, mean_of_rows, named_subsets
from consilience.evaluation.labels import check_classifiers, check_labels, classified
from consilience.inference.contract import require_data
from consilience.inference.posterior import generate
from consilience.nn.executables import traced_once
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive

KINDS: dict[str, Callable] = {
    "self": lambda given, target, names: given == (target,),
    "cross": lambda given, target, names: len(given) == 1 and given != (target,),
    "leave_one_out": lambda given, target, names: {*given} == {*names} - {target},
}


class Coherence(NamedTuple):
    """Shares of generated values in the right class, by subset S and target t.

    Attributes:
        names: all modalities.
        given: the subsets S, each as names.
        targets: the modalities t that have a classifier.
        value: `[subsets, targets]`, shares from 0 to 1.
        standard_error: `[subsets, targets]`, over rows.
        left_out: `[subsets]`, number of rows without any of S, which do not count.
        by_row: `[subsets, targets, N]`, share of a row's draws; nan where left out.
    """

    names: tuple[str, ...]
    given: tuple[tuple[str, ...], ...]
    targets: tuple[str, ...]
    value: Float[np.ndarray, "subsets targets"]
    standard_error: Float[np.ndarray, "subsets targets"]
    left_out: Int[np.ndarray, " subsets"]
    by_row: Float[np.ndarray, "subsets targets rows"]

    def averages(self) -> dict[str, Mean]:
        """Self (S = {t}), cross (S = {s}, s ≠ t) and leave-one-out (S = all but t).

        Means over those entries of the table, as far as it has any; their standard
        errors know that entries share rows.
        """
        found = {}
        for kind, belongs in KINDS.items():
            chosen = [
                self.by_row[i, j]
                for i, given in enumerate(self.given)
                for j, target in enumerate(self.targets)
                if belongs(given, target, self.names)
            ]
            if chosen:
                found[kind] = mean_of_rows(np.stack(chosen))
        return found

    def to_dataframe(self):
        """A pandas DataFrame, one line for each S and t."""
        import pandas as pd

        rows = self.by_row.shape[-1] - self.left_out
        return pd.DataFrame(
            {
                "given": np.repeat(
                    [" + ".join(g) for g in self.given], len(self.targets)
                ),
                "target": np.tile(self.targets, len(self.given)),
                "coherence": self.value.ravel(),
                "standard_error": self.standard_error.ravel(),
                "rows": np.repeat(rows, len(self.targets)),
                "left_out": np.repeat(self.left_out, len(self.targets)),
            }
        )


@checked_kinds
@traced_once()
def coherence(
    rng_key: Key[Array, ""],
    model: Callable,
    guide: Callable,
    params: dict,
    data: MultimodalData,
    labels: Shaped[Array | np.ndarray, " rows"],
    classifiers: Mapping[str, Callable],
    subsets: Sequence[Sequence[str]] | None = None,
    *,
    num_samples: int = 1,
    **settings,
) -> Coherence:
    """Share of x̂_t ~ p(x_t | z), z ~ q(z | x_S), that a classifier puts in the true class.

    S is taken as far as a row has it; rows without any of S are left out and counted. The
    target itself need not be present. A classifier errs on real data too: compare with
    `classifier_accuracy`.

    Args:
        rng_key: random key.
        model: p(x, z).
        guide: q(z | x_S).
        params: trained parameters of both.
        data: N rows.
        labels: true classes `[N]`, whole numbers or names.
        classifiers: modality name → function of values `[N, *event]`, in the units of
            the unscaled data, to classes `[N]`; see `train_classifiers`.
        subsets: S by names; by default each single modality, all but each, and all.
        num_samples: draws a row and subset.
        settings: `mean` (judge E[x_t | z] in place of draws) and `chunk_size` of
            `generate`.

    Raises:
        TypeError: `data` is no `MultimodalData`.
        ValueError: labels or a classifier's answers are not one a row; a name is unknown;
            a subset is empty, comes twice or is nowhere present.
    """
    require_data(data)
    check_positive(num_samples=num_samples)
    labels = check_labels("labels", labels, data.size)
    targets = check_classifiers(classifiers, data)
    table = named_subsets(data, subsets)

    def right(key: Key[Array, ""], given: Given) -> np.ndarray:
        shares = np.zeros((len(targets), data.size))
        for draw_key in jax.random.split(key, num_samples):
            made = generate(
                draw_key, model, guide, params, data, given.subset, **settings
            )
            for share, name in zip(shares, targets, strict=True):
                share += classified(classifiers, name, made[name][0]) == labels
        return np.where(given.rows, shares / num_samples, np.nan)

    keys = jax.random.split(rng_key, len(table))
    by_row = np.stack([right(*pair) for pair in zip(keys, table, strict=True)])
    cells = np.array([[mean_of_rows(rows) for rows in line] for line in by_row])
    return Coherence(
        names=data.names,
        given=tuple(given.names for given in table),
        targets=targets,
        value=cells[..., 0],
        standard_error=cells[..., 1],
        left_out=np.array([int((~given.rows).sum()) for given in table]),
        by_row=by_row,
    )
