"""scikit-learn's handwritten digits as five modalities."""

from collections.abc import Mapping

import jax
import numpy as np

from consilience.datasets.data import MultimodalData

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LETTERS = " " + "".join(sorted(set("".join(WORDS))))
QUADRANTS = ("upper_left", "upper_right", "lower_left", "lower_right")


def quadrants_and_word() -> MultimodalData:
    """1797 real handwritten digits: four image quadrants and the digit's English word.

    Pixels count the ink in cells of 4×4 dots, 0 to 16, here as floats `[N, 16]` from 0 to
    1 in steps of 1/16. The word is one-hot, `[N, 5, 16]`: five characters over a blank
    and the fifteen letters that occur. The covariate "label" is the digit.

    Source: UCI "Optical Recognition of Handwritten Digits", as scikit-learn ships it.
    """
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = digits.images.astype(np.float32) / 16
    halves = {"upper": slice(0, 4), "lower": slice(4, 8)}
    sides = {"left": slice(0, 4), "right": slice(4, 8)}
    values = {}
    for quadrant in QUADRANTS:
        half, side = quadrant.split("_")
        values[quadrant] = images[:, halves[half], sides[side]].reshape(-1, 16)
    values["word"] = _one_hot_words()[digits.target]
    return MultimodalData.from_arrays(values, covariates={"label": digits.target})


def assemble(quadrants: Mapping[str, np.ndarray | jax.Array]) -> np.ndarray:
    """Join quadrants `[..., 16]` by name into images `[..., 8, 8]`."""
    square = {
        n: np.asarray(quadrants[n]).reshape(*np.shape(quadrants[n])[:-1], 4, 4)
        for n in QUADRANTS
    }
    upper = np.concatenate([square["upper_left"], square["upper_right"]], -1)
    lower = np.concatenate([square["lower_left"], square["lower_right"]], -1)
    return np.concatenate([upper, lower], -2)


def spell(word: np.ndarray | jax.Array) -> np.ndarray:
    """Turn one-hot or probability arrays `[..., 5, 16]` into words `[...]`."""
    index = np.asarray(word).argmax(-1)
    characters = np.array(list(LETTERS))[index]
    flat = ["".join(c).strip() for c in characters.reshape(-1, characters.shape[-1])]
    return np.array(flat).reshape(index.shape[:-1])


def likeliest_word(probabilities: np.ndarray) -> np.ndarray:
    """The likeliest of the ten words under character probabilities `[..., 5, 16]`."""
    log_p = np.log(np.maximum(np.asarray(probabilities, float), 1e-30))
    fit = np.einsum("...lc,wlc->...w", log_p, _one_hot_words())
    return np.asarray(np.array(WORDS)[fit.argmax(-1)])


def _one_hot_words() -> np.ndarray:
    letters = [[LETTERS.index(c) for c in word.ljust(5)] for word in WORDS]
    return np.eye(len(LETTERS), dtype=np.int32)[np.array(letters)]
