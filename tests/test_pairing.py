import jax
import numpy as np
import pytest

from consilience import pair_by_label

LABELS = {
    "image": np.array([0, 0, 0, 1, 1, 2, 3]),
    "sound": np.array([3, 2, 2, 1, 1, 1, 0, 0]),
    "word": np.array([0, 1, 2, 0, 1, 2]),
}


@pytest.fixture
def measurements():
    """Values tell who they are: 100 · modality + place."""
    return {
        name: (100 * i + np.arange(len(labels)), labels)
        for i, (name, labels) in enumerate(LABELS.items())
    }


def places(data):
    return {n: np.asarray(x) - 100 * i for i, (n, x) in enumerate(data.values.items())}


def test_rows_are_of_one_class(measurements, rng_key):
    """Class 3 has no word; the rarest modality decides how many rows a class has."""
    data = pair_by_label(rng_key, measurements)
    assert data.names == ("image", "sound", "word")
    assert data.present.all()
    label = np.asarray(data.covariates["label"])
    np.testing.assert_array_equal(label, [0, 0, 1, 1, 2])
    for name, place in places(data).items():
        np.testing.assert_array_equal(LABELS[name][place], label)
        assert len(set(place.tolist())) == len(place)


def test_pairings_are_anew(measurements, rng_key):
    data = pair_by_label(rng_key, measurements, num_pairings=200)
    assert data.size == 1000
    image, word = (places(data)[n] for n in ("image", "word"))
    images, words = np.flatnonzero(LABELS["image"] == 0), [0, 3]
    seen = np.array(
        [[np.sum((image == i) & (word == w)) for w in words] for i in images]
    )
    # 400 rows of class 0 in 6 equally likely pairs
    assert np.all(np.abs(seen - 400 / 6) <= 5 * np.sqrt(400 / 6 * 5 / 6))


def test_same_key_same_rows(measurements):
    first, same, other = (
        pair_by_label(jax.random.key(seed), measurements, 5).values["image"]
        for seed in (0, 0, 1)
    )
    np.testing.assert_array_equal(first, same)
    assert np.any(first != other)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "measurements: expected at least one modality, got none"),
        ({"a": (np.ones(3), np.ones(3))}, r"\['a'\]: expected 3 whole .* got float64"),
        ({"a": (np.ones(3), [1, 2])}, r"\['a'\]: expected 3 whole .* shape \(2,\)"),
        (
            {"a": (np.ones(2), [1, 2]), "b": (np.ones(1), [3])},
            r"expected classes that all modalities have, got a: \[1 2\]; b: \[3\]",
        ),
    ],
)
def test_refusals(given, said, rng_key):
    with pytest.raises(ValueError, match=said):
        pair_by_label(rng_key, given)


def test_a_wrong_number_of_pairings_is_refused(measurements, rng_key):
    with pytest.raises(ValueError, match=r"num_pairings: .* got 0"):
        pair_by_label(rng_key, measurements, 0)
