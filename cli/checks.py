"""Is the guide right for the model, and do its intervals cover?"""

from typing import TYPE_CHECKING

import jax
import numpy as np

import consilience as cs
from consilience.cli.applied import Applied
from consilience.cli.completion import in_units
from consilience.cli.scores import subsets

if TYPE_CHECKING:
    from pandas import DataFrame

NOMINAL = ("categorical", "one_hot")  # values without an order have no intervals


def coverage(rng_key, found: Applied, probability: float, draws: int) -> "DataFrame":
    """A row a modality: share of its entries in intervals predicted from the others.

    Raises:
        ValueError: no sample has two modalities.
    """
    import pandas as pd

    lines, truth = {}, in_units(found)
    for i, name in enumerate(found.rows.names):
        others = [other for other in found.rows.names if other != name]
        present = np.asarray(found.rows.present)
        keep = present[:, i] & np.delete(present, i, 1).any(-1)
        if not keep.any() or found.run.config["likelihoods"][name]["name"] in NOMINAL:
            continue
        rows = found.rows.take(np.flatnonzero(keep))
        settings = {"probability": probability, "num_samples": draws}
        ends = found.fitted.evaluate(
            cs.predictive_intervals,
            jax.random.fold_in(rng_key, i),
            rows,
            rows.subset_of(*others),
            **settings,
        )
        wanted = truth[name][keep]
        covered = ends.coverage({name: wanted})[name]
        lines[name] = (covered, int((~np.isnan(wanted)).sum()), len(wanted))
    if not lines:
        raise ValueError(
            "--coverage: expected samples that have two modalities, to predict one from "
            "the others, got none"
        )
    columns = ["covered", "entries", "samples"]
    return pd.DataFrame.from_dict(lines, orient="index", columns=columns).rename_axis(
        "modality"
    )


def said(table: "DataFrame", probability: float) -> str:
    """Coverage in a line."""
    each = ", ".join(f"{name} {row.covered:.1%}" for name, row in table.iterrows())
    return (
        f"intervals of {probability:.0%}, each modality from the others, cover: {each}"
    )


def calibration(rng_key, found: Applied) -> cs.Calibration:
    """Ranks of simulated latents, for each modality and for all."""
    usual = subsets(found.rows)
    chosen = [s for s in usual if len(s) == 1 or s == usual[0]]
    return found.fitted.evaluate(cs.calibration, rng_key, found.rows, chosen)
