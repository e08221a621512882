"""What is right of tables that look odd: headers, indices, samples in columns."""

import io
import zipfile

import numpy as np
import pandas as pd
import pytest

import consilience as cs

PATIENTS = [f"pt{i}" for i in range(8)]


def by_feature(first, last, scale=1.0):
    shape = (last - first, len(PATIENTS))
    values = scale * np.arange(first * 100.0, first * 100.0 + np.prod(shape))
    index = pd.Index([f"g{i}" for i in range(first, last)], name="gene")
    return pd.DataFrame(values.reshape(shape), index, PATIENTS)


@pytest.mark.parametrize(
    "first", ["", "id", "ids", "patient", "Sample ID", "sample_name", "Patient nr"]
)
def test_column_names_may_be_numbers_below_a_name_of_ids(first, tmp_path):
    (tmp_path / "a.csv").write_text(f"{first},2001,2002\np,1,2\nq,3,4\n")
    data = cs.read(tmp_path)
    assert data.feature_names == (("2001", "2002"),)
    assert data.row_names == ("p", "q")


def test_a_line_of_names_that_looks_like_a_sample_can_be_said_to_be_one(tmp_path):
    (tmp_path / "a.csv").write_text("s1,10,20\ns2,30,40\n")
    data = cs.read(tmp_path, id_column="s1")
    assert (data.row_names, data.feature_names) == (("s2",), (("10", "20"),))


@pytest.mark.parametrize("start", [0, 1])
def test_rows_that_count_have_their_numbers_as_ids(start, tmp_path):
    frame = pd.DataFrame({"x": [1.5, 2.5, 3.5]}, index=range(start, start + 3))
    frame.to_csv(tmp_path / "a.csv")
    expected = tuple(str(i) for i in range(start, start + 3))
    assert cs.read(tmp_path).row_names == expected
    assert cs.read({"a": frame}).row_names == expected


def test_the_column_of_ids_wins_over_a_leftover_index(tmp_path):
    for name, seed in (("x", 1), ("u", 2)):
        frame = pd.DataFrame({"patient": range(20), name: np.arange(20.0)})
        frame.sample(frac=1, random_state=seed).to_parquet(tmp_path / f"{name}.parquet")
    data = cs.read(tmp_path, id_column="patient")
    np.testing.assert_array_equal(data.values["x"], data.values["u"])
    assert data.feature_names == (("u",), ("x",))


def test_samples_in_columns_are_turned(tmp_path):
    a, b = by_feature(0, 20), by_feature(19, 40)
    a.to_csv(tmp_path / "a.csv")
    b.to_csv(tmp_path / "b.csv")
    data = cs.read(tmp_path, transpose=True)
    assert data.row_names == tuple(PATIENTS)
    assert data.feature_names[0] == tuple(a.index)
    np.testing.assert_array_equal(data.values["a"], a.T)
    np.testing.assert_array_equal(data.values["b"], b.T)
    same = cs.read({"a": a.T, "b": b}, transpose=["b"])
    np.testing.assert_array_equal(same.values["b"], data.values["b"])
    assert cs.read(tmp_path, transpose=False).size == 40


ALL = by_feature(0, 30).T.set_axis([f"s{i}" for i in range(8)])


def pair(a, b):
    return {"a": ALL.iloc[a], "b": ALL.iloc[b]}


ORDINARY = {
    "the same genes, half of the samples": pair(slice(0, 6), slice(3, 8)),
    "the same genes of a few": pair(slice(0, 8), slice(6, 8)),
    "age in both, few samples": {
        "a": ALL.iloc[:5].assign(age=1.0),
        "b": ALL.iloc[4:, :1].assign(age=2.0).set_axis(["w", "age"], axis=1),
    },
    "similarities between samples": {
        "a": ALL,
        "b": pd.DataFrame(np.eye(8), ALL.index, ALL.index),
    },
}


@pytest.mark.parametrize("case", ORDINARY)
def test_ordinary_tables_are_not_taken_for_turned_ones(case):
    assert cs.read(ORDINARY[case]).num_modalities == 2


def test_covariates_tell_that_rows_are_samples(tmp_path):
    for name in ("a", "b", "covariates"):
        frame = pd.DataFrame({f"{name}1": np.arange(3.0)}, [*"pqr"])
        frame.rename_axis("Protein").to_csv(tmp_path / f"{name}.csv")
    assert cs.read(tmp_path).row_names == ("p", "q", "r")


def test_what_macos_packs_beside_arrays_is_passed_over(tmp_path):
    raw = io.BytesIO()
    np.save(raw, np.ones((2, 3)))
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as file:
        file.writestr("a.npy", raw.getvalue())
        file.writestr("__MACOSX/._a.npy", b"\0\5\26\7")
        file.writestr(".DS_Store", b"\0")
    data = cs.read(tmp_path / "a.npz")
    assert (data.names, data.size) == (("a",), 2)


def test_names_in_archives_may_be_bytes(tmp_path):
    about = {"row_names": np.array([b"p", b"q"]), "features_a": np.array([b"x"])}
    np.savez(tmp_path / "a.npz", a=np.ones((2, 1)), **about)
    data = cs.read(tmp_path / "a.npz")
    assert (data.row_names, data.feature_names) == (("p", "q"), (("x",),))


def test_what_looks_like_a_mask_can_be_named_as_a_modality(tmp_path):
    np.savez(tmp_path / "a.npz", a=np.ones((2, 1)), mask_B=np.ones((2, 3)))
    data = cs.read(tmp_path / "a.npz", modalities=["a", "mask_B"])
    assert data.names == ("a", "mask_B")


def test_the_command_line_turns_tables(tmp_path):
    from consilience.cli import data
    from consilience.cli.keys import KEYS

    by_feature(0, 20).to_csv(tmp_path / "a.csv")
    by_feature(19, 40).to_csv(tmp_path / "b.csv")
    config = {name: key.default for name, key in KEYS.items()}
    with pytest.raises(ValueError, match=r"--transpose all"):
        data.read(config, tmp_path)
    for word, size in (("all", 8), ("none", 40), (["a", "b"], 8)):
        given = KEYS["transpose"].kind.read("--transpose", word)
        found = data.read(config | {"transpose": given}, tmp_path)
        assert len(found.values["a"]) == size


@pytest.mark.parametrize("command", ["fit", "encode RUN", "impute RUN"])
def test_the_command_line_refuses_an_empty_path(command, capsys):
    from consilience.cli.main import main

    with pytest.raises(SystemExit):
        main([*command.split(), ""])
    assert "expected a path, got an empty text" in capsys.readouterr().err
