import numpy as np
import pytest
from sklearn.datasets import load_digits

from consilience import quadrants_and_word
from consilience.datasets.digits import (
    LETTERS,
    QUADRANTS,
    WORDS,
    assemble,
    likeliest_word,
    spell,
)


@pytest.fixture(scope="module")
def data():
    return quadrants_and_word()


def test_schema(data):
    assert data.names == (*QUADRANTS, "word")
    assert data.event_shapes == ((16,),) * 4 + ((5, 16),)
    assert (data.size, data.total) == (1797, None)
    assert data.present.all()
    assert data.entries == {}
    assert data.values["word"].dtype == np.int32


def test_pixels_are_counts_over_sixteen(data):
    pixels = np.concatenate([data.values[n] for n in QUADRANTS], -1)
    assert (pixels.min(), pixels.max()) == (0, 1)
    np.testing.assert_array_equal(pixels * 16, np.round(pixels * 16))


def test_assembled_quadrants_are_the_images(data):
    quadrants = {n: data.values[n] for n in QUADRANTS}
    np.testing.assert_array_equal(assemble(quadrants) * 16, load_digits().images)


def test_assemble_keeps_leading_axes(data):
    draws = {n: np.asarray(data.values[n])[:6].reshape(2, 3, 16) for n in QUADRANTS}
    images = load_digits().images[:6].reshape(2, 3, 8, 8)
    np.testing.assert_array_equal(assemble(draws) * 16, images)


def test_words_spell_the_labels(data):
    target = load_digits().target
    np.testing.assert_array_equal(data.covariates["label"], target)
    np.testing.assert_array_equal(spell(data.values["word"]), np.array(WORDS)[target])
    np.testing.assert_array_equal(data.values["word"].sum(-1), 1)


def test_alphabet_is_a_blank_and_fifteen_letters():
    assert LETTERS == " efghinorstuvwxz"


def test_spell_takes_probabilities_and_leading_axes(data):
    words = np.asarray(data.values["word"])[:6].reshape(2, 3, 5, 16)
    smooth = 0.1 / 16 + 0.9 * words
    expected = [["zero", "one", "two"], ["three", "four", "five"]]
    np.testing.assert_array_equal(spell(smooth), expected)


def test_spell_keeps_a_blank_inside():
    indices = np.array([LETTERS.index(c) for c in "t o  "])
    assert spell(np.eye(16)[indices]) == "t o"


def test_likeliest_word(data):
    word = data.values["word"]
    smooth = 0.9 * np.asarray(word) + 0.1 / 16
    assert list(likeliest_word(smooth[:3])) == ["zero", "one", "two"]
    blurred = smooth.copy()
    blurred[0, 0] = 1 / 16  # "?ero"
    assert likeliest_word(blurred[0]) == "zero"
