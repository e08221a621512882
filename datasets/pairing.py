"""Sets of measurements that belong together by their class, made into rows."""

from collections.abc import Mapping

import jax
import numpy as np
from jaxtyping import Array, Key

from consilience.datasets.data import MultimodalData
from consilience.nn.kinds import checked_kinds
from consilience.nn.sizes import check_positive


@checked_kinds
def pair_by_label(
    rng_key: Key[Array, ""],
    measurements: Mapping[str, tuple[object, object]],
    num_pairings: int = 1,
) -> MultimodalData:
    """Pair measurements of one class at random: images, sounds and words of one digit.

    Given the class, modalities are then independent. In each pairing every measurement
    is used once at most: a class gives as many rows as its rarest modality has, and what
    is left over of the others waits for the next pairing or is not used. Split training
    from test measurements before, or both will hold the same ones.

    Args:
        rng_key: random key of who meets whom.
        measurements: modality name → (array `[Nₛ, *event]`, labels `[Nₛ]`, whole numbers).
        num_pairings: how often to pair anew; the literature on MNIST and SVHN takes 20.

    Returns:
        complete rows, sorted by pairing, then by class, with the class as the covariate
        "label".

    Raises:
        ValueError: labels are no whole numbers, one for each measurement; no class is
            in all modalities.
    """
    check_positive(num_pairings=num_pairings)
    labels = {n: _labels(n, *both) for n, both in measurements.items()}
    classes = _common(labels)
    generator = np.random.default_rng(np.asarray(jax.random.key_data(rng_key)))
    rows = [_pairing(generator, labels, classes) for _ in range(num_pairings)]
    index = {n: np.concatenate([row[n] for row in rows]) for n in labels}
    first = next(iter(labels))
    return MultimodalData.from_arrays(
        {n: np.asarray(measurements[n][0])[index[n]] for n in labels},
        covariates={"label": labels[first][index[first]]},
    )


def _pairing(generator, labels: dict, classes: np.ndarray) -> dict[str, np.ndarray]:
    """By modality, the places of the measurements that make one pairing's rows."""
    chosen: dict[str, list] = {name: [] for name in labels}
    for label in classes:
        places = {n: np.flatnonzero(labels[n] == label) for n in labels}
        size = min(map(len, places.values()))
        for name in labels:
            chosen[name].append(generator.permutation(places[name])[:size])
    return {name: np.concatenate(parts) for name, parts in chosen.items()}


def _labels(name: str, values: object, labels: object) -> np.ndarray:
    labels, size = np.asarray(labels), len(values)
    if labels.dtype.kind not in "iu" or labels.shape != (size,):
        raise ValueError(
            f"measurements[{name!r}]: expected {size} whole numbers as labels, got "
            f"{labels.dtype} of shape {labels.shape}"
        )
    return labels.astype(int)


def _common(labels: dict[str, np.ndarray]) -> np.ndarray:
    if not labels:
        raise ValueError("measurements: expected at least one modality, got none")
    common = set.intersection(*(set(given.tolist()) for given in labels.values()))
    if not common:
        raise ValueError(
            "measurements: expected classes that all modalities have, got "
            + "; ".join(f"{n}: {np.unique(given)[:10]}" for n, given in labels.items())
        )
    return np.array(sorted(common))
