"""Tables given to `from_arrays`: rows and columns are matched by their names."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

import consilience as cs

SAMPLES = [f"s{i}" for i in range(10)]
GENES = pd.DataFrame(np.arange(30.0).reshape(10, 3), SAMPLES, [*"abc"])
PROTEINS = pd.DataFrame(np.arange(20).reshape(10, 2), SAMPLES, [*"pq"])
TURNED = PROTEINS.sort_index(ascending=False)
from_arrays = cs.MultimodalData.from_arrays


def equal(a, b):
    np.testing.assert_array_equal(a, b)


def test_frames_are_matched_by_their_index_and_keep_their_names():
    data = from_arrays({"g": GENES, "p": TURNED})
    equal(data.values["g"], GENES)
    equal(data.values["p"], PROTEINS)
    assert data.row_names == tuple(SAMPLES)
    assert data.feature_names == (("a", "b", "c"), ("p", "q"))


def test_frames_of_other_samples_are_united_as_by_read():
    parts = {"g": GENES[:7], "p": TURNED[:6]}
    ours, theirs = from_arrays(parts), cs.read(parts)
    assert ours.row_names == theirs.row_names == (*SAMPLES[:7], "s9", "s8", "s7")
    equal(ours.present, theirs.present)
    equal(ours.values["p"], theirs.values["p"])


def test_what_comes_with_frames_is_matched_too():
    last = pd.Series(range(10), TURNED.index)
    absent = pd.DataFrame({"p": True, "g": [False, *[True] * 9]}, TURNED.index)
    measured = pd.DataFrame(True, SAMPLES, [*"cba"])
    measured.loc["s3", "c"] = False
    data = from_arrays(
        {"g": GENES, "p": TURNED}, absent, {"n": last}, entries={"g": measured}
    )
    equal(data.covariates["n"], range(9, -1, -1))
    assert np.argwhere(~np.asarray(data.present)).tolist() == [[9, 0]]
    assert np.argwhere(~np.asarray(data.entries["g"])).tolist()[0] == [3, 2]
    by_frame = from_arrays({"g": GENES}, covariates=last.to_frame("n"))
    equal(by_frame.covariates["n"], data.covariates["n"])
    two = from_arrays({"g": GENES}, covariates={"pq": TURNED})
    equal(two.covariates["pq"], PROTEINS)


def test_arrays_beside_frames_of_one_order_follow_them():
    data = from_arrays({"g": GENES, "p": PROTEINS}, covariates={"n": np.arange(10)})
    equal(data.covariates["n"], range(10))


def test_series_follow_row_names_and_count_where_there_are_none():
    last = pd.Series(range(10), TURNED.index)
    named = from_arrays(
        {"g": GENES.to_numpy()}, covariates={"n": last}, row_names=SAMPLES
    )
    equal(named.covariates["n"], range(9, -1, -1))
    plain, values = last.reset_index(drop=True), {"g": GENES.to_numpy()}
    for read in (from_arrays, cs.read):
        equal(read(values, covariates={"n": plain}).covariates["n"], plain)
    named = cs.read({"g": GENES}, covariates={"n": last})
    equal(named.covariates["n"], range(9, -1, -1))


def test_names_may_be_bytes():
    names, columns = np.array([b"p", b"q"]), {"a": [b"x", b"y"]}
    data = from_arrays({"a": np.ones((2, 2))}, row_names=names, feature_names=columns)
    assert data.row_names == ("p", "q")
    assert data.feature_names == (("x", "y"),)


@pytest.mark.parametrize(
    "make", [sparse.csr_matrix, sparse.csc_array, sparse.coo_array]
)
def test_sparse_matrices_are_arrays(make):
    dense = np.eye(4)[:, :3] + np.eye(4)[:, :1]
    equal(from_arrays({"a": make(dense)}).values["a"], dense)
    equal(cs.read({"a": make(dense)}).values["a"], dense)


def test_sparse_frames_are_frames():
    frame = pd.DataFrame.sparse.from_spmatrix(
        sparse.csr_matrix(np.eye(3)), index=[*"pqr"], columns=[*"xyz"]
    )
    data = from_arrays({"a": frame})
    equal(data.values["a"], np.eye(3))
    assert data.row_names == ("p", "q", "r")


@pytest.mark.parametrize("read", [cs.read, from_arrays])
def test_annotated_matrices_by_name_are_matched_with_frames(read):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import anndata

        obs, var = pd.DataFrame(index=TURNED.index), pd.DataFrame(index=[*"pq"])
        cells = anndata.AnnData(TURNED.to_numpy(float), obs, var)
        data = read({"g": GENES, "p": cells})
    equal(data.values["p"], PROTEINS)
    assert data.feature_names[1] == ("p", "q")
