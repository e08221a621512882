"""Every refusal says where, what was expected and what came."""

import jax.numpy as jnp
import numpy as np
import pytest

from consilience import MultimodalData
from consilience.datasets.validation import RESERVED, validate

ROWS = 3
A, B = np.ones((ROWS, 2)), np.arange(15.0).reshape(ROWS, 5)


def build(values=None, **kwargs):
    """Past the type checker of the test session, which users do not have."""
    given = dict.fromkeys(("present", "row_names"))
    given |= {name: {} for name in ("covariates", "entries", "feature_names")}
    given |= {"allow_empty_rows": False}
    return validate({"a": A, "b": B} if values is None else values, **(given | kwargs))


def refused(fragments, values=None, **kwargs):
    with pytest.raises(ValueError, match=r"expected") as caught:
        build(values, **kwargs)
    for fragment in fragments:
        assert fragment in str(caught.value)


def with_value(array, where, value):
    changed = np.array(array, dtype=np.result_type(array, type(value)))
    changed[where] = value
    return changed


def test_what_is_refused_below_is_accepted_when_put_right():
    fields = build(
        present=np.ones((ROWS, 2), bool),
        covariates={"c": np.ones(ROWS)},
        entries={"b": B > 0},
        row_names=["p", "q", "r"],
        feature_names={"a": ["u", "v"]},
    )
    data = MultimodalData(**fields)
    assert data.size == ROWS
    assert fields["feature_names"] == (("u", "v"), ())


@pytest.mark.parametrize(
    ("values", "fragments"),
    [
        ({}, ["values: ", "at least one modality, got none"]),
        ([], ["values: ", "at least one modality, got none"]),
        ("ab", ["values: expected a mapping", "got str"]),
        (7, ["values: expected a mapping", "got int"]),
        ({3: A}, ["values: expected names of modalities, got 3"]),
        ({"": A}, ["values: expected names of modalities, got ''"]),
        ([("a", A), ("b", B), ("a", A)], ["modality 'a'", "given twice", "once"]),
        ([A, B], ["values: expected", "pairs"]),
        ({"a": np.float32(3.0)}, ["values['a']", "array with rows, got shape ()"]),
        ({"a": np.ones((0, 2))}, ["values['a']", "array with rows, got shape (0, 2)"]),
        ({"a": A, "b": np.float32(3)}, ["values['b']", "3 rows", "got shape ()"]),
        ({"a": A, "b": B[:2]}, ["values['b']", "3 rows", "got shape (2, 5)"]),
        ({"a": A, "b": B.T}, ["values['b']", "3 rows", "got shape (5, 3)"]),
        ({"a": A, "b": B[:, :0]}, ["values['b']", "one column, got shape (3, 0)"]),
        ({"a": A, "b": B.astype(str)}, ["values['b']", "floats, integers", "dtype <U"]),
        ({"a": A, "b": B.astype(object)}, ["values['b']", "floats", "dtype object"]),
        ({"a": A, "b": B * 1j}, ["values['b']", "floats", "dtype complex128"]),
        ({"a": A, "b": [[1.0], [2.0, 3.0], []]}, ["values['b']", "rectangular"]),
        ({"a": [[1.0], [2.0, 3.0]]}, ["values['a']", "rectangular"]),
    ],
)
def test_values(values, fragments):
    refused(fragments, values)


@pytest.mark.parametrize("name", [*RESERVED])
def test_reserved_names(name):
    refused([f"values: {name!r} is reserved", "another name"], {"a": A, name: B})


@pytest.mark.parametrize(
    ("argument", "given", "fragments"),
    [
        ("present", {"c": np.ones(ROWS, bool)}, ["present: ", "a, b, got 'c'"]),
        ("entries", {"c": A > 0}, ["entries: ", "a, b, got 'c'"]),
        ("feature_names", {"c": ["u"]}, ["feature_names: ", "a, b, got 'c'"]),
        ("row_names", ["p", "q"], ["row_names: expected 3 names, got 2"]),
        ("row_names", ["p", "q", "p"], ["row_names: ", "unique names, got 'p' twice"]),
        ("feature_names", {"b": ["u"]}, ["feature_names['b']: ", "5 names, got 1"]),
        ("feature_names", {"a": ["u", "u"]}, ["feature_names['a']", "got 'u' twice"]),
        ("entries", {"b": A > 0}, ["entries['b']: ", "shape (3, 5), got (3, 2)"]),
        ("entries", {"b": (B > 0)[:, 0]}, ["entries['b']", "(3, 5), got (3,)"]),
        ("entries", {"b": B}, ["entries['b']: ", "booleans, got dtype float64"]),
        ("present", np.ones((2, 3), bool), ["present: ", "shape (3, 2), got (2, 3)"]),
        ("present", np.ones((3, 2), int), ["present: ", "booleans, got dtype int64"]),
        (
            "present",
            {"b": np.ones(2, bool)},
            ["present['b']", "shape (3,), got (2,)"],
        ),
        ("present", {"b": np.ones(3)}, ["present['b']", "booleans, got dtype float"]),
    ],
)
def test_other_arguments(argument, given, fragments):
    refused(fragments, **{argument: given})


NAMED = {"row_names": ["p", "q", "r"], "feature_names": {"b": [*"uvwxy"]}}


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values(value):
    values = {"a": A, "b": with_value(B, (1, 3), value)}
    fragments = ["values['b']", "row 1", "column 3", "finite", "NaN", f"got {value}"]
    refused(fragments, values)
    refused([*fragments, "row 1 ('q')", "column 3 ('x')"], values, **NAMED)


def test_infinite_values_of_more_axes():
    image = with_value(np.ones((ROWS, 2, 5)), (2, 1, 4), np.inf)
    refused(["values['image']: row 2, column (1, 4): "], {"image": image})
    names = {"image": [f"{i}/{j}" for i in range(2) for j in range(5)]}
    fragments = ["values['image']: row 2, column (1, 4) ('1/4'): "]
    refused(fragments, {"image": image}, feature_names=names)


def test_infinite_values_without_axes():
    refused(["values['age']: row 1: ", "got inf"], {"age": [1.0, np.inf, 2.0]})


@pytest.mark.parametrize(
    ("values", "number", "kind"),
    [
        (with_value(B, (1, 3), -1e39), "-1e+39", "float32"),
        (with_value(B.astype(np.int64), (1, 3), 2**31), "2147483648", "int32"),
        (with_value(B.astype(np.uint64), (1, 3), np.uint64(2**63)), "2**63", "int32"),
    ],
    ids=["float64", "int64", "uint64"],
)
def test_numbers_that_do_not_fit(values, number, kind):
    number = str(2**63) if number == "2**63" else number
    fragments = ["values['b']", "row 1", "column 3", f"fits {kind}", f"got {number}"]
    fragments += ["jax_enable_x64"]
    refused(fragments, {"a": A, "b": values})
    refused([*fragments, "row 1 ('q')", "column 3 ('x')"], {"b": values}, **NAMED)


def test_integers_that_do_not_fit_double_precision(x64):
    values = with_value(B.astype(np.uint64), (1, 3), np.uint64(2**63))
    refused(["values['b']", "fits int64", f"got {2**63}"], {"b": values})


@pytest.mark.parametrize(
    "present",
    [np.ones((ROWS, 2), bool), {"b": np.ones(ROWS, bool)}],
    ids=["array", "mapping"],
)
def test_present_without_a_measured_entry(present):
    values = {"a": A, "b": with_value(B, 2, np.nan)}
    fragments = ["present: modality 'b'", "row 2", "one measured entry", "got none"]
    refused(fragments, values, present=present)
    refused([*fragments, "row 2 ('r')"], values, present=present, **NAMED)


def test_empty_rows():
    values = {"a": with_value(A, [1, 2], np.nan), "b": with_value(B, [1, 2], np.nan)}
    fragments = ["row 1", "(2 in all)", "one present modality", "allow_empty_rows=True"]
    refused(fragments, values)
    refused([*fragments, "row 1 ('q')"], values, **NAMED)
    assert build(values, allow_empty_rows=True)["present"].sum() == 2


@pytest.mark.parametrize(
    ("covariates", "fragments"),
    [
        ({"a": np.ones(ROWS)}, ["covariates: 'a' is the name of a modality"]),
        ({"c": np.ones(2)}, ["covariates['c']", "3 rows", "got shape (2,)"]),
        ({"c": np.array([*"xyz"])}, ["covariates['c']", "dtype <U1"]),
        ({"c": [1.0, np.nan, 1.0]}, ["covariates['c']: row 1: ", "finite", "got nan"]),
        ({"c": with_value(B, (2, 3), np.inf)}, ["row 2, column 3: ", "got inf"]),
        ({"c": [1.0, 1e39, 1.0]}, ["covariates['c']: row 1: ", "float32, got 1e+39"]),
        (
            {"c": np.ma.array(np.ones(ROWS), mask=[0, 0, 1])},
            ["covariates['c']: row 2: ", "always known", "masked"],
        ),
    ],
)
def test_covariates(covariates, fragments):
    refused(fragments, covariates=covariates)


def test_covariates_name_the_row():
    covariates = {"c": [1.0, np.nan, 1.0]}
    refused(["row 1 ('q')"], {"b": B}, covariates=covariates, **NAMED)


def test_a_masked_array_that_masks_nothing_is_a_covariate():
    fields = build(covariates={"c": np.ma.array(np.ones(ROWS))})
    np.testing.assert_array_equal(fields["covariates"]["c"], np.ones(ROWS))


# Standardising

FLOATS = MultimodalData.from_arrays({"a": A, "b": B})
INTEGERS = MultimodalData.from_arrays({"a": A.astype(int), "b": B})


@pytest.mark.parametrize(
    ("data", "kwargs", "message"),
    [
        (FLOATS.standardize(), {}, "unscaled data, but they are scaled"),
        (FLOATS, {"like": INTEGERS}, "like: expected standardised data, got unscaled"),
        (FLOATS, {"like": FLOATS.standardize(), "names": ["a"]}, "got both"),
        (FLOATS, {"names": ["c"]}, "one of the modalities a, b, got 'c'"),
        (INTEGERS, {"names": ["a"]}, "modality 'a': expected floats, got int32"),
        (INTEGERS, {"like": FLOATS.standardize()}, "modality 'a': expected floats"),
    ],
)
def test_standardize(data, kwargs, message):
    with pytest.raises(ValueError, match=message):
        data.standardize(**kwargs)


def test_standardize_like_other_shapes():
    wide = MultimodalData.from_arrays({"a": np.ones((ROWS, 7)), "b": B})
    with pytest.raises(
        ValueError, match=r"modality 'a': expected .*\(2,\), got \(7,\)"
    ):
        FLOATS.standardize(like=wide.standardize())


# Concatenating


def data(values=None, **kwargs):
    return MultimodalData.from_arrays(values or {"a": A, "b": B}, **kwargs)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (data({"b": B, "a": A}), r"expected names \('a', 'b'\), got \('b', 'a'\)"),
        (data({"a": A}), r"expected names \('a', 'b'\), got \('a',\)"),
        (data({"a": B, "b": B}), r"event_shapes \(\(2,\), .*\), got \(\(5,\)"),
        (data(feature_names={"a": "uv"}), r"feature_names .*got \(\('u', 'v'\)"),
        (data(covariates={"c": A}), r"covariates none, got c float32\[2\]"),
        (data().standardize(), "one and the same standardisation, got two"),
        (data().without_values(), r"values a float32\[2\], b .*, got none"),
    ],
    ids=[
        "order",
        "names",
        "shapes",
        "features",
        "covariates",
        "scaling",
        "without_values",
    ],
)
def test_concatenate(other, message):
    with pytest.raises(ValueError, match=message):
        MultimodalData.concatenate([data(), data(), other])


def test_concatenate_two_scalings():
    parts = [data({"a": A * k, "b": B * k}).standardize() for k in (1, 2)]
    with pytest.raises(ValueError, match="one and the same standardisation, got two"):
        MultimodalData.concatenate(parts)


def test_concatenate_covariates_of_two_shapes():
    parts = [data(covariates={"c": A}), data(covariates={"c": B})]
    with pytest.raises(
        ValueError, match=r"covariates c float32\[2\], got c float32\[5\]"
    ):
        MultimodalData.concatenate(parts)


def test_concatenate_the_same_row_twice():
    parts = [data(row_names=["p", "q", "r"]), data(row_names=["s", "q", "t"])]
    with pytest.raises(ValueError, match="row_names: expected unique names, got 'q'"):
        MultimodalData.concatenate(parts)


def test_concatenate_nothing():
    with pytest.raises(ValueError, match="parts: expected at least one data set"):
        MultimodalData.concatenate([])


def test_concatenate_integers_with_floats():
    counts = data({"a": A.astype(int), "b": B})
    with pytest.raises(ValueError, match=r"values a float32\[2\], .* got a int32\[2\]"):
        MultimodalData.concatenate([data(), counts])


def test_jax_arrays_are_checked_too():
    refused(["values['b']: row 1", "got inf"], {"b": jnp.array([[1.0], [jnp.inf]])})
