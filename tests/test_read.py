"""Own data: what is in files and frames is what stands in the rows."""

import gzip
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import consilience as cs

GENES = "id,TP53,MYC,EGFR\ns2,1,2,3\ns1,,4,0\ns5,7,8,9\n"
PROTEINS = "id\tp1\tp2\ns1\t0.5\t-1e-3\ns3\t\tNA\ns2\t2\tNaN\n"
COVARIATES = "id,age,batch\ns1,31,B\ns5,50,A\ns3,33,A\ns2,32,B\ns9,90,C\n"


@pytest.fixture
def folder(tmp_path):
    """s3 has an empty row of proteins, s5 none; s9 has covariates only."""
    (tmp_path / "genes.csv").write_text(GENES)
    (tmp_path / "proteins.tsv").write_text(PROTEINS)
    return tmp_path


def equal(a, b):
    np.testing.assert_array_equal(a, b)


def same(a, b):
    """Two data sets that agree to the last bit, names too."""
    assert a.names == b.names
    assert a.row_names == b.row_names
    assert a.feature_names == b.feature_names
    equal(a.present, b.present)
    for field in ("values", "entries", "covariates"):
        ours, theirs = getattr(a, field), getattr(b, field)
        assert ours.keys() == theirs.keys()
        for name in ours:
            assert ours[name].dtype == theirs[name].dtype
            equal(ours[name], theirs[name])


# Folders


def test_a_folder_is_matched_by_sample(folder):
    data = cs.read(folder, allow_empty_rows=True)
    assert data.names == ("genes", "proteins")
    assert data.row_names == ("s2", "s1", "s5", "s3")  # as tables first name them
    assert data.feature_names == (("TP53", "MYC", "EGFR"), ("p1", "p2"))
    equal(data.present, [[1, 1], [1, 1], [1, 0], [0, 0]])
    equal(data.values["genes"], [[1, 2, 3], [0, 4, 0], [7, 8, 9], [0, 0, 0]])
    equal(
        data.entries["genes"],
        np.array([[1, 1, 1], [0, 1, 1], [1, 1, 1], [0, 0, 0]], bool),
    )
    expected = np.float32([[2, 0], [0.5, -1e-3], [0, 0], [0, 0]])
    equal(data.values["proteins"], expected)
    equal(data.observed("proteins"), [[1, 0], [1, 1], [0, 0], [0, 0]])


def test_whole_numbers_stay_whole_numbers_where_some_are_missing(folder):
    data = cs.read(folder, allow_empty_rows=True)
    assert data.values["genes"].dtype == jnp.int32
    big = 2**31 - 1  # which float32 does not have
    (folder / "genes.csv").write_text(f"id,a\ns1,{big}\ns2,\n")
    data = cs.read(folder / "genes.csv", allow_empty_rows=True)
    assert int(data.values["genes"][0, 0]) == big


def test_a_row_without_anything_is_refused_unless_allowed(folder):
    with pytest.raises(ValueError, match=r"row 3 \('s3'\).*allow_empty_rows=True"):
        cs.read(folder)


def test_intersection_has_the_samples_with_every_modality(folder):
    data = cs.read(folder, samples="intersection")
    assert data.row_names == ("s2", "s1")
    equal(data.present, np.ones((2, 2), bool))
    (folder / "acids.csv").write_text("id,x\ns1,1\ns3,2\n")
    data = cs.read(folder, samples="intersection")
    assert (data.names[0], data.row_names) == ("acids", ("s1",))


def test_intersection_counts_an_empty_row_as_absent(folder):
    (folder / "genes.csv").write_text(GENES + "s3,1,1,1\n")
    assert cs.read(folder).row_names == ("s2", "s1", "s5", "s3")
    data = cs.read(folder, samples="intersection")
    assert data.row_names == ("s2", "s1")


def test_modalities_are_chosen_ordered_and_renamed(folder):
    (folder / "notes.txt").write_text("not a table")
    data = cs.read(folder, modalities=["proteins"], allow_empty_rows=True)
    assert (data.names, data.row_names) == (("proteins",), ("s1", "s3", "s2"))
    data = cs.read(
        folder,
        modalities={"protein": "proteins", "rna": "genes"},
        samples="intersection",
    )
    assert (data.names, data.row_names) == (("protein", "rna"), ("s1", "s2"))


def test_hidden_files_are_passed_over(folder):
    (folder / ".DS_Store").write_bytes(b"\0\1")
    assert cs.read(folder, samples="intersection").size == 2


def test_columns_of_covariates_follow_the_samples(folder):
    (folder / "covariates.csv").write_text(COVARIATES)
    codes = {"batch": ["A", "B", "C"]}
    data = cs.read(folder, categories=codes, allow_empty_rows=True)
    equal(data.covariates["age"], [32, 31, 50, 33])
    equal(data.covariates["batch"], [1, 1, 0, 0])
    other = {"batch": ["B", "A"]}
    data = cs.read(
        folder, categories=other, covariates=["batch"], allow_empty_rows=True
    )
    equal(data.covariates["batch"], [0, 0, 1, 1])
    assert data.covariates.keys() == {"batch"}
    data = cs.read(folder, covariates=[], samples="intersection")
    assert data.covariates == {}


def test_covariates_of_their_own(folder, tmp_path):
    frame = pd.DataFrame({"age": [1.5, 2.5, 3.5, 4.5]}, index=["s1", "s2", "s3", "s5"])
    data = cs.read(folder, covariates=frame, allow_empty_rows=True)
    equal(data.covariates["age"], np.float32([2.5, 1.5, 4.5, 3.5]))
    elsewhere = tmp_path / "other"
    elsewhere.mkdir()
    frame.to_csv(elsewhere / "ages.csv")
    path = elsewhere / "ages.csv"
    again = cs.read(
        folder,
        covariates=path,
        modalities=["genes", "proteins"],
        allow_empty_rows=True,
    )
    same(data, again)


def test_the_id_column_may_stand_anywhere(folder):
    text = "TP53,MYC,EGFR,patient\n1,2,3,s2\n,4,0,s1\n7,8,9,s5\n"
    (folder / "other.csv").write_text(text)
    found = cs.read(folder / "other.csv", id_column="patient")
    expected = cs.read(folder / "genes.csv")
    assert found.feature_names == expected.feature_names
    assert found.row_names == expected.row_names
    equal(found.values["other"], expected.values["genes"])


def test_ids_are_text_whatever_they_look_like(tmp_path):
    ids = ["NA", "007", "1e5", "None", "true"]
    lines = "\n".join(f"{name},{i}" for i, name in enumerate(ids))
    (tmp_path / "a.csv").write_text(f"id,x\n{lines}\n")
    data = cs.read(tmp_path)
    assert data.row_names == tuple(ids)
    equal(data.values["a"][:, 0], range(5))


@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.tsv", "a.tsv.gz"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_text_tables_of_all_kinds(name, newline, tmp_path):
    text = '"sample";"x, 1";y\n"a ""b""";1;2.5\n\nc;;1e3\n'.replace("\n", newline)
    text = text.replace('"x, 1"', '"x 1"').replace(";", "\t" if "tsv" in name else ",")
    raw = b"\xef\xbb\xbf" + text.encode()
    (tmp_path / name).write_bytes(gzip.compress(raw) if name.endswith("gz") else raw)
    data = cs.read(tmp_path)
    assert data.names == ("a",)
    assert data.row_names == ('a "b"', "c")
    assert data.feature_names == (("x 1", "y"),)
    equal(data.values["a"], np.float32([[1, 2.5], [0, 1e3]]))
    equal(data.entries["a"], [[True, True], [False, True]])


def test_quoted_separators_and_truth_values(tmp_path):
    (tmp_path / "a.csv").write_text('id,"x,1",y\ns1,True,1\ns2,False,\n')
    data = cs.read(tmp_path)
    assert data.feature_names == (("x,1", "y"),)
    equal(data.values["a"], [[1, 1], [0, 0]])
    assert data.values["a"].dtype == jnp.int32


@pytest.mark.parametrize("ids", ["index", "first", "named"])
def test_parquet_says_the_same_as_csv(ids, folder, tmp_path):
    frame = pd.read_csv(folder / "genes.csv", dtype_backend="numpy_nullable")
    if ids == "index":
        frame = frame.set_index("id")
    if ids == "named":
        frame = frame[["TP53", "MYC", "EGFR", "id"]]
    target = tmp_path / "parquet"
    target.mkdir()
    frame.to_parquet(target / "genes.parquet")
    options = {"id_column": "id"} if ids == "named" else {}
    same(cs.read(target, **options), cs.read(folder / "genes.csv"))


def test_a_named_index_of_parquet_is_an_id_column(folder, tmp_path):
    frame = pd.read_csv(folder / "genes.csv", dtype_backend="numpy_nullable")
    target = tmp_path / "genes.parquet"
    frame.set_index("id").to_parquet(target)
    same(cs.read(target, id_column="id"), cs.read(folder / "genes.csv"))


def test_full_precision_before_the_data_set(folder):
    arrays = cs.read_arrays(folder, samples="intersection")
    assert arrays.values["proteins"].dtype == np.float64
    assert arrays.values["proteins"][1, 1] == -1e-3
    assert arrays.values["genes"].dtype == np.int64
    same(
        cs.MultimodalData.from_arrays(**arrays._asdict()),
        cs.read(folder, samples="intersection"),
    )


# Frames and arrays


def frames(folder):
    parts = {"genes": ("genes.csv", ","), "proteins": ("proteins.tsv", "\t")}
    return {
        name: pd.read_csv(
            folder / file, sep=separator, index_col=0, dtype_backend="numpy_nullable"
        )
        for name, (file, separator) in parts.items()
    }


def test_frames_say_the_same_as_files(folder):
    same(
        cs.read(frames(folder), allow_empty_rows=True),
        cs.read(folder, allow_empty_rows=True),
    )


def test_frames_of_numpy_types_and_of_objects():
    index = ["a", "b", "c"]
    numbers = pd.DataFrame({"x": [1.0, np.nan, 3.0], "y": [1, 2, 3]}, index)
    objects = pd.DataFrame(
        {"u": [1, None, 3], "v": [True, False, None]}, index, dtype=object
    )
    data = cs.read({"numbers": numbers, "objects": objects})
    equal(data.values["numbers"], [[1, 1], [0, 2], [3, 3]])
    assert data.values["objects"].dtype == jnp.int32
    equal(data.values["objects"], [[1, 1], [0, 0], [3, 0]])
    equal(data.entries["objects"], [[1, 1], [0, 1], [1, 0]])


def test_frames_with_whole_numbers_as_ids():
    a = pd.DataFrame({"x": [1.0, 2.0]}, index=pd.Index([7, 3], name="patient"))
    b = pd.DataFrame({"y": [3.0, 4.0]}, index=pd.Index([3, 9], name="patient"))
    data = cs.read({"a": a, "b": b})
    assert data.row_names == ("7", "3", "9")
    equal(data.present, [[1, 0], [1, 1], [0, 1]])
    assert cs.read({"a": a}).names == ("a",)


def test_the_order_of_the_rows_does_not_matter(folder):
    given = frames(folder)
    turned = dict(given, proteins=given["proteins"].iloc[::-1])
    same(cs.read(given, allow_empty_rows=True), cs.read(turned, allow_empty_rows=True))


def test_arrays_are_taken_as_they_are():
    values = {"a": np.arange(6.0).reshape(2, 3), "b": np.ones((2, 2, 2), int)}
    data = cs.read(values, covariates={"c": [1.0, 2.0]})
    same(data, cs.MultimodalData.from_arrays(values, covariates={"c": [1.0, 2.0]}))
    assert cs.read(values, modalities=["b"]).names == ("b",)
    text = cs.read(
        values, covariates={"c": ["no", "yes"]}, categories={"c": ["no", "yes"]}
    )
    equal(text.covariates["c"], [0, 1])


def test_intersection_of_arrays_takes_covariates_and_masks_along():
    values = {
        "a": [[1.0], [np.nan], [3.0]],
        "b": np.ma.array([1, 2, 3], mask=[1, 0, 0]),
    }
    covariates = {"c": [1.0, 2.0, 3.0]}
    data = cs.read(values, samples="intersection", covariates=covariates)
    equal(data.values["a"], [[3.0]])
    equal(data.values["b"], [3])
    equal(data.covariates["c"], [3.0])


# Archives of NumPy


def test_npz_of_plain_arrays(tmp_path):
    path = tmp_path / "some.npz"
    arrays = {
        "image": np.arange(24.0).reshape(3, 2, 4),
        "count": np.arange(6).reshape(3, 2),
        "mask_count": np.array([[True, True], [False, True], [True, True]]),
        "features_count": np.array(["u", "v"]),
        "mask_image": np.array([True, True, False]),
        "present": np.array([[True, False], [True, True], [True, True]]),
        "row_names": np.array(["p", "q", "r"]),
        "covariate_age": np.array([1.0, 2.0, 3.0]),
        "remark": np.array("made on a Monday"),
    }
    np.savez(path, **arrays)
    data = cs.read(path)
    assert data.names == ("image", "count")
    assert data.row_names == ("p", "q", "r")
    assert data.feature_names == ((), ("u", "v"))
    equal(data.present, [[1, 0], [1, 1], [0, 1]])
    equal(data.values["image"][:2], arrays["image"][:2])
    equal(data.values["count"], [[0, 0], [0, 3], [4, 5]])
    equal(data.observed("count"), [[0, 0], [0, 1], [1, 1]])
    equal(data.covariates["age"], [1, 2, 3])
    both = cs.read(
        path, samples="intersection", modalities={"n": "count", "x": "image"}
    )
    assert (both.names, both.row_names) == (("n", "x"), ("q",))
    equal(both.covariates["age"], [2])
    only = {"modalities": ["count"], "allow_empty_rows": True}
    assert cs.read(path, covariates=[], **only).covariates == {}
    frame = pd.DataFrame({"size": [3, 2, 1]}, index=["r", "q", "p"])
    equal(cs.read(path, covariates=frame).covariates["size"], [1, 2, 3])


def test_npz_of_views(tmp_path):
    path = tmp_path / "views.npz"
    x = np.float32([[1, np.nan], [3, 4], [5, 6]])
    np.savez(
        path,
        views=["rna", "protein"],
        x_rna=x,
        x_protein=x[:, :1],
        mask_protein=[True, False, True],
        features_rna=["g", "h"],
        sample_id=["a", "b", "c"],
        label_kind=["u", "v", "u"],
        label_age=[1.0, np.nan, 2.0],
        meta_json="{}",
    )
    data = cs.read(path)
    assert data.names == ("rna", "protein")
    assert data.feature_names == (("g", "h"), ())
    equal(data.present, [[1, 1], [1, 0], [1, 1]])
    equal(data.values["rna"], [[1, 0], [3, 4], [5, 6]])
    assert data.covariates == {}
    kinds = {"kind": ["u", "v"]}
    found = cs.read(path, covariates=["kind"], categories=kinds)
    equal(found.covariates["kind"], [0, 1, 0])


@pytest.mark.parametrize(
    ("file", "absent"),
    [("tcga_breast_mixomics.npz", {"protein": 70}), ("pace_bloodcancer.npz", {})],
)
def test_public_files_of_views(file, absent, shared_data):
    path = shared_data(file)
    data = cs.read(path)
    with np.load(path) as raw:
        assert data.names == tuple(raw["views"])
        assert data.row_names == tuple(raw["sample_id"])
        for i, name in enumerate(data.names):
            assert data.feature_names[i] == tuple(raw[f"features_{name}"])
            equal(data.present[:, i], raw[f"mask_{name}"])
            seen = raw[f"mask_{name}"][:, None] & ~np.isnan(raw[f"x_{name}"])
            equal(data.observed(name), seen)
            equal(data.values[name], np.where(seen, raw[f"x_{name}"], 0))
    for name, number in absent.items():
        assert int((~data.present[:, data.index(name)]).sum()) == number


# Imports


def test_reading_arrays_imports_no_tables():
    """A user of arrays waits for neither pandas' nor anybody's import."""
    code = (
        "import sys, numpy as np, consilience as cs\n"
        "cs.read({'a': np.ones((2, 3))})\n"
        "assert not {'pandas', 'anndata', 'mudata', 'pyarrow'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
