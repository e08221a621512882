"""Columns are matched by name wherever data meet a fitted schema."""

import numpy as np
import pytest

import consilience as cs
from consilience.datasets.streaming import StreamedData

RNG = np.random.default_rng(2)
X = RNG.normal(size=(12, 3)) * [1.0, 100.0, 1e4] + [0.0, 500.0, -3.0]
X[2, 1] = np.nan
TRAIN = cs.MultimodalData.from_arrays(
    {"a": X, "b": X[:, 0]}, feature_names={"a": ["x", "y", "z"]}
).standardize()
MATCHED = "columns are matched by name .*modality 'a': "


def rows(columns, kind=cs.MultimodalData):
    """The training rows as a table of these columns; q holds anything."""
    found = {"x": X[:, 0], "y": X[:, 1], "z": X[:, 2], "q": np.full(12, 1e9)}
    a = np.stack([found[name] for name in columns], 1)
    values, names = {"a": a, "b": X[:, 0]}, {"a": list(columns)}
    return kind.from_arrays(values, feature_names=names)


@pytest.mark.parametrize("kind", [cs.MultimodalData, StreamedData])
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        ("zxy", "order restored"),
        ("xqyz", "q left out"),
        ("zyxq", "q left out, order restored"),
    ],
)
def test_order_is_restored_and_a_superset_cut(columns, said, kind):
    with pytest.warns(UserWarning, match=f"standardize: {MATCHED}{said}") as caught:
        scaled = rows(columns, kind).standardize(like=TRAIN)
    assert len(caught) == 1
    found = scaled.take(slice(None))
    assert found.feature_names == TRAIN.feature_names
    for name in TRAIN.names:
        np.testing.assert_array_equal(found.values[name], TRAIN.values[name])
        np.testing.assert_array_equal(found.observed(name), TRAIN.observed(name))
    found.conform(TRAIN)  # nothing is left to say


@pytest.mark.parametrize("kind", [cs.MultimodalData, StreamedData])
def test_a_column_that_lacks_is_missing(kind):
    with pytest.warns(UserWarning, match=f"{MATCHED}y missing, order restored"):
        scaled = rows("zx", kind).standardize(like=TRAIN)
    found = scaled.take(slice(None)).conform(TRAIN)
    np.testing.assert_array_equal(
        found.observed("a"), np.tile([True, False, True], (12, 1))
    )
    expected = np.where(found.observed("a"), TRAIN.values["a"], 0)
    np.testing.assert_array_equal(found.values["a"], expected)
    assert found.present.all()


def test_a_row_of_which_nothing_is_left_lacks_the_modality():
    with pytest.warns(UserWarning, match=f"data: {MATCHED}q left out, x, z missing"):
        found = rows("qy").conform(
            cs.MultimodalData.from_arrays(
                {"a": X, "b": X[:, 0]}, feature_names={"a": ["x", "y", "z"]}
            )
        )
    np.testing.assert_array_equal(found.present[:, 0], np.arange(12) != 2)
    assert found.present[:, 1].all()


def test_other_columns_altogether_are_refused():
    data = cs.MultimodalData.from_arrays(
        {"a": X, "b": X[:, 0]}, feature_names={"a": ["p", "q", "r"]}
    )
    for like in (TRAIN, TRAIN.take([0])):
        with pytest.raises(
            ValueError,
            match="standardize: modality 'a': expected columns among x, y, z",
        ):
            data.standardize(like=like)


def test_without_names_columns_go_by_position():
    data = cs.MultimodalData.from_arrays({"a": X, "b": X[:, 0]})
    np.testing.assert_array_equal(
        data.standardize(like=TRAIN).values["a"], TRAIN.values["a"]
    )
    short = cs.MultimodalData.from_arrays({"a": X[:, :2], "b": X[:, 0]})
    with pytest.raises(ValueError, match=r"measurements of shape \(2,\), got \(3,\)"):
        short.standardize(like=TRAIN)
