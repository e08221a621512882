"""Rows of MNIST-SVHN-Text: handwriting, a colour image and a word of one digit.

SVHN and speech come as files of the user's. Any colour images of digits may stand in
SVHN's place, and speech may be a fourth modality.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key

from consilience.datasets import (
    Labelled,
    MultimodalData,
    Parts,
    pair_by_label,
    read_labelled,
    read_mnist,
    read_svhn,
    write_words,
)

MNIST, TEXT = "mnist", "text"
BYTE = 255


class Sources(NamedTuple):
    """Where the files are.

    Attributes:
        folder: has MNIST's files, and SVHN's unless others stand in for them.
        colour: an `.npz` of colour images and digits in SVHN's place.
        speech: an `.npz` of spectrograms and digits, a fourth modality.
    """

    folder: Path
    colour: Path | None = None
    speech: Path | None = None


class Rows(NamedTuple):
    """Of one seed.

    Attributes:
        train: paired training rows; digits are the covariate "label".
        test: paired test rows, of other measurements.
        alone: training measurements by modality, for classifiers.
    """

    train: MultimodalData
    test: MultimodalData
    alone: dict[str, Labelled]


def modalities(sources: Sources) -> tuple[str, ...]:
    """Their names; what stands in for SVHN is not called so."""
    colour = "svhn" if sources.colour is None else "photograph"
    return (MNIST, colour, *(["speech"] if sources.speech else []), TEXT)


@lru_cache(maxsize=1)
def read_sources(sources: Sources) -> dict[str, Parts]:
    """All but the words, in bytes.

    Raises:
        FileNotFoundError: a file is not there: what to get, and where from.
        ValueError: a file is damaged or another; values are no bytes.
    """
    mnist, colour, *speech, _ = modalities(sources)
    found = {mnist: read_mnist(sources.folder)}
    given = sources.colour
    found[colour] = read_svhn(sources.folder) if given is None else read_labelled(given)
    for name in speech:
        found[name] = read_labelled(sources.speech)
    for name, parts in found.items():
        if parts.train.values.dtype != np.uint8:
            raise ValueError(
                f"{name}: expected bytes, got {parts.train.values.dtype}; scale values to "
                "0..255 and save them as uint8"
            )
    return found


def paired_rows(
    rng_key: Key[Array, ""],
    sources: Sources,
    rows: int,
    test_rows: int,
    alone: int,
    shrink: int = 1,
) -> Rows:
    """Measurements of one digit, paired at random.

    Args:
        rng_key: random key of pairs, words, and who is left out.
        sources: the files.
        rows: training rows; measurements are paired anew until there are as many.
        test_rows: at most; each measurement stands in one row at most.
        alone: measurements of each modality for classifiers, at most.
        shrink: all but handwriting is averaged over blocks of so many pixels squared.

    Raises:
        FileNotFoundError: a file is not there.
        ValueError: a file is damaged or another.
    """
    found = {
        name: parts if name == MNIST else _shrunk(name, parts, shrink)
        for name, parts in read_sources(sources).items()
    }
    keys = jax.random.split(rng_key, 3)
    train = {name: parts.train for name, parts in found.items()}
    test = {name: parts.test for name, parts in found.items()}
    pairings = -(-rows // _rows_a_pairing(train))
    return Rows(
        _paired(keys[0], train, pairings, rows),
        _paired(keys[1], test, 1, test_rows),
        _alone(keys[2], train, alone),
    )


def _shrunk(name: str, parts: Parts, by: int) -> Parts:
    """Means over blocks, rounded to bytes."""
    if by == 1:
        return parts

    def mean(given: Labelled) -> Labelled:
        rows, height, width, *rest = given.values.shape
        if height % by or width % by:
            raise ValueError(
                f"{name}: expected a height and width that {by} divides, got {height} × "
                f"{width}; choose networks of another size"
            )
        blocks = (rows, height // by, by, width // by, by, *rest)
        means = given.values.reshape(blocks).mean((2, 4), dtype=np.float32)
        return given._replace(values=np.rint(means).astype(np.uint8))

    return Parts(*map(mean, parts))


def _rows_a_pairing(given: dict[str, Labelled]) -> int:
    counts = [np.bincount(each.labels, minlength=10)[:10] for each in given.values()]
    return max(1, int(np.min(counts, 0).sum()))


def _paired(rng_key, given: dict[str, Labelled], pairings: int, most: int):
    key_pairs, key_rows, key_words = jax.random.split(rng_key, 3)
    paired = pair_by_label(
        key_pairs, {n: (x.values, x.labels) for n, x in given.items()}, pairings
    )
    chosen = np.asarray(jax.random.permutation(key_rows, paired.size))[:most]
    labels = np.asarray(paired.covariates["label"])[chosen]
    values = {n: _unit(np.asarray(x)[chosen]) for n, x in paired.values.items()}
    values[TEXT] = write_words(key_words, labels)
    return MultimodalData.from_arrays(values, covariates={"label": labels})


def _alone(rng_key, given: dict[str, Labelled], most: int) -> dict[str, Labelled]:
    """Unpaired, so that a classifier sees all there are."""
    found = {}
    for name, each in given.items():
        rng_key, key = jax.random.split(rng_key)
        rows = np.asarray(jax.random.permutation(key, len(each.labels)))[:most]
        found[name] = Labelled(_unit(each.values[rows]), each.labels[rows])
    labels = next(iter(found.values())).labels
    found[TEXT] = Labelled(write_words(rng_key, labels), labels)
    return found


def _unit(values: np.ndarray) -> np.ndarray:
    return values.astype(np.float32) / BYTE
