"""Digits as text: the English word at a random place among blanks."""

from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Array, Int, Key, Shaped

from consilience.datasets.digits import WORDS
from consilience.nn.kinds import checked_kinds

LENGTH = 8
BLANK = " "
ALPHABET = (
    BLANK + "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.,;:!?-'"
)


@checked_kinds
def write_words(
    rng_key: Key[Array, ""],
    labels: Shaped[np.ndarray | Array, "..."] | Sequence[int],
    length: int = LENGTH,
) -> Int[np.ndarray, "rows length letters"]:
    """The word of each digit, one-hot over 71 letters, at a random place in 8 characters.

    The text of MNIST-SVHN-Text (Sutter et al. 2020; Hirt et al. 2024, section 5.3). Of
    the alphabet the literature gives the size; a blank and fifteen letters are used.

    Args:
        rng_key: random key of the places.
        labels: digits 0 to 9, `[N]`.
        length: characters of a text, at least the five of "three".

    Returns:
        `[N, length, 71]`, 0 and 1.

    Raises:
        ValueError: labels are no digits; `length` is too short.
    """
    labels = np.asarray(labels)
    longest = max(map(len, WORDS))
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or not _digits(labels):
        raise ValueError(
            f"labels: expected digits 0 to 9 of shape (N,), got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    if length < longest:
        raise ValueError(f"length: expected {longest} or more, got {length}")
    generator = np.random.default_rng(np.asarray(jax.random.key_data(rng_key)))
    room = length - np.array([len(word) for word in WORDS])[labels]
    starts = generator.integers(room + 1)
    index = _placed(length)[labels, starts]
    return np.eye(len(ALPHABET), dtype=np.int32)[index]


def read_words(
    text: Shaped[np.ndarray | Array, "... length letters"],
) -> Shaped[np.ndarray, "..."]:
    """The likeliest character in each place, blanks at both ends cut off.

    Args:
        text: one-hot, or probabilities.
    """
    characters = np.array(list(ALPHABET))[np.asarray(text).argmax(-1)]
    rows = characters.reshape(-1, characters.shape[-1])
    words = np.array(["".join(row).strip(BLANK) for row in rows])
    return words.reshape(characters.shape[:-1])


def _digits(labels: np.ndarray) -> bool:
    return bool(((labels >= 0) & (labels < len(WORDS))).all())


def _placed(length: int) -> np.ndarray:
    """Index of the letters of each word from each start; those past the end stay blank."""
    table = np.zeros((len(WORDS), length, length), int)
    for digit, word in enumerate(WORDS):
        for start in range(length - len(word) + 1):
            letters = [ALPHABET.index(letter) for letter in word]
            table[digit, start, start : start + len(word)] = letters
    return table
