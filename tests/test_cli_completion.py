"""Cells of completed tables: what was measured as it was, what was not in its place."""

import io

import numpy as np
import pandas as pd
import pytest

from consilience.cli.completion import _column, _median, _mode, _shortest

MEASURED = np.array([True, False, True, False])


def as_text(column) -> list[str]:
    file = io.StringIO()
    pd.Series(column).to_csv(file, index=False, header=False)
    return file.getvalue().split()


def test_whole_numbers_stay_whole_in_text():
    predicted = np.array([9.0, 2.5, 9.0, 4.0], np.float32)
    for dtype in (np.int64, np.int8, np.uint8):
        raw = np.array([3, 0, 5, 0], dtype)
        assert as_text(_column(raw, MEASURED, predicted, "csv")) == [
            "3",
            "2.5",
            "5",
            "4",
        ]


def test_columns_without_gaps_are_what_they_were():
    raw = np.array([3, 0, 5, 7], np.int32)
    found = _column(raw, np.ones(4, bool), np.zeros(4, np.float32), "csv")
    assert found is raw


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_measured_bits_survive(ending):
    raw = np.array([1 / 3, 0.0, 1e-300, 0.0])
    found = _column(raw, MEASURED, np.full(4, 0.1, np.float32), ending)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found[MEASURED], raw[MEASURED])
    np.testing.assert_array_equal(found[~MEASURED], [0.1, 0.1])  # not 0.10000000149
    read = pd.read_csv(io.StringIO("\n".join(as_text(found))), header=None)[0]
    np.testing.assert_array_equal(read, found)


def test_single_precision_survives_beside_double():
    raw = np.array([0.1, 0.0, 3.3, 0.0], np.float32)
    found = _column(raw, MEASURED, np.full(4, 0.7, np.float32), "csv")
    np.testing.assert_array_equal(found[MEASURED].astype(np.float32), raw[MEASURED])


def test_the_shortest_decimals():
    assert _shortest(np.array([0.1, 1e9, -2.5], np.float32)).tolist() == [
        0.1,
        1e9,
        -2.5,
    ]


def test_the_median_is_a_value_that_was_drawn():
    draws = np.array([[1, 4], [0, 9], [5, 4], [2, 0]])
    assert _median(draws).tolist() == [1, 4]


def test_the_mode_is_the_most_frequent_category():
    draws = np.array([[2, 0], [2, 1], [0, 1], [1, 2]])
    assert _mode(draws).tolist() == [2, 1]
