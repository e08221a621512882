"""Built-in classifiers: what they see, what they learn, what they refuse."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import consilience as cs
from consilience.evaluation.class_features import class_features, training_features

KEY, ROWS = jax.random.key(2), 240
QUICK = {"hidden": (16,), "num_epochs": 40, "batch_size": 60, "learning_rate": 0.02}


def classes(num_rows, seed):
    """Three classes: two bumps of points, or words that differ in their second letter."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(0, 3, num_rows)
    centres = np.array([[0.0, 0.0, 5.0], [3.0, 0.0, 5.0], [0.0, 3.0, 5.0]])
    points = 100 + centres[labels] + 0.3 * generator.normal(size=(num_rows, 3))
    words = np.stack([generator.integers(0, 7, num_rows), 2 + labels], 1)
    present = generator.random((num_rows, 2)) < 0.7
    present[:, 1] |= ~present[:, 0]
    points[present[:, 0] & (generator.random(num_rows) < 0.2), 2] = np.nan
    values = {"points": points, "words": words}
    return cs.MultimodalData.from_arrays(values, present=present), labels


@pytest.fixture(scope="module")
def train():
    return classes(ROWS, 0)


@pytest.mark.parametrize("scaled", [False, True])
def test_floats_are_centred_in_the_units_of_training(scaled, train):
    data = train[0].standardize() if scaled else train[0]
    features = class_features(data, "points")
    x = np.asarray(training_features(data, "points", features))
    observed = np.asarray(data.observed("points"))
    raw = np.asarray(train[0].values["points"], float)
    column_mean = np.array([raw[observed[:, j], j].mean() for j in range(3)])
    column_scale = np.array([raw[observed[:, j], j].std() for j in range(3)])
    unit = column_scale if scaled else np.sqrt(np.mean(column_scale**2))
    expected = np.where(observed, (raw - column_mean) / unit, 0.0)
    np.testing.assert_allclose(x, expected, atol=2e-4)
    again = np.asarray(features(jnp.asarray(train[0].values["points"])))
    np.testing.assert_allclose(again[observed], expected[observed], atol=2e-4)


def test_whole_numbers_are_categories_and_zeros_and_ones_are_numbers(train):
    data, _ = train
    features = class_features(data, "words")
    assert features.size == 7
    assert np.asarray(features(np.array([[6, 2], [7, -1]]))).nonzero()[1].tolist() == [
        6,
        9,
    ]
    x = np.asarray(training_features(data, "words", features))
    present = np.asarray(data.present[:, 1])
    np.testing.assert_array_equal(x.sum(1), 2.0 * present)
    one_hot = cs.MultimodalData.from_arrays({"word": np.eye(3, dtype=int)})
    assert class_features(one_hot, "word")(np.eye(3) / 2).shape == (3, 3)


@pytest.mark.slow
def test_separable_classes_are_learned_from_incomplete_rows(train):
    data, labels = train
    names = np.array(["ant", "bee", "cat"])
    found = cs.train_classifiers(KEY, data, names[labels], **QUICK)
    test, test_labels = classes(300, 1)
    accuracy = cs.classifier_accuracy(found, test, names[test_labels])
    assert accuracy["words"].value == 1.0
    assert accuracy["points"].value > 0.98
    whole = np.asarray(test.observed("points")).all(1)
    right = found["points"](test.values["points"])[whole] == names[test_labels][whole]
    assert accuracy["points"].value == pytest.approx(right.mean())
    error = right.std(ddof=1) / np.sqrt(whole.sum())
    assert accuracy["points"].standard_error == pytest.approx(error)


def test_what_is_absent_never_matters_and_the_key_decides(train):
    data, labels = train
    quick = QUICK | {"num_epochs": 2}
    rubbish = {
        n: jnp.where(data.observed(n), x, jnp.asarray(77, x.dtype))
        for n, x in data.values.items()
    }
    filled = data.__class__.from_arrays(
        rubbish,
        present=np.asarray(data.present),
        entries={n: np.asarray(e) for n, e in data.entries.items()},
    )
    points = data.values["points"]

    def logits(key, data):
        found = cs.train_classifiers(key, data, labels, **quick)["points"]
        return np.asarray(found.network(found.features(points)))

    np.testing.assert_array_equal(logits(KEY, data), logits(KEY, filled))
    assert np.abs(logits(KEY, data) - logits(jax.random.key(3), data)).max() > 0.1


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"labels": np.zeros(ROWS, int)},
            r"labels: expected 2 classes or more, got \[0\]",
        ),
        (
            {"labels": np.zeros(3, int)},
            r"labels: expected whole numbers or names of shape",
        ),
        ({"num_epochs": 0}, "num_epochs: expected a positive integer"),
    ],
)
def test_refusals(train, change, said):
    data, labels = train
    settings = QUICK | {"labels": labels} | change
    with pytest.raises(ValueError, match=said):
        cs.train_classifiers(KEY, data, **settings)


def test_counts_and_absent_modalities_are_refused(train):
    counts = {"n": np.array([[5000, 1], [2, 0]])}
    with pytest.raises(ValueError, match=r"modality 'n': .* 0 to 5000; counts need"):
        class_features(cs.MultimodalData.from_arrays(counts), "n")
    data, labels = train
    without = data.restrict(data.present.at[:, 0].set(False), allow_empty_rows=True)
    with pytest.raises(ValueError, match="expected rows with modality 'points', got"):
        cs.train_classifiers(KEY, without, labels, **QUICK)
    with pytest.raises(ValueError, match="expected whole numbers, as in training"):
        class_features(data, "words")(np.ones((2, 2)))
