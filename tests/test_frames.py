"""The way out: frames with names, completed rows, files that read as what was written."""

import sys

import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest

import consilience as cs

HOLES = np.array([[0.1, np.nan, 1e-300], [1 / 3, 2.0, -7.25], [np.nan] * 3, [1, 2, 3]])
COUNTS = np.ma.array(
    [[1, 2], [3, 4], [5, 6], [7, 8]], mask=[[0, 1], [0, 0], [0, 0], [1, 0]]
)


def container(**kwargs):
    return cs.MultimodalData.from_arrays(
        {"a": np.where(HOLES == 1e-300, 0, HOLES), "n": COUNTS, "age": [1.0, 2, 3, 4]},
        row_names=["p", "q", "r", "s"],
        feature_names={"a": ["x", "y", "z"]},
        **kwargs,
    )


MEANS = {"a": jnp.full((4, 3), 9.5), "n": np.full((4, 2), 0.5, np.float32)}


def test_frames_have_the_names_of_rows_and_columns():
    frames = cs.to_frames(MEANS | {"age": np.arange(4)}, container())
    assert list(frames) == ["a", "n", "age"]
    assert list(frames["a"].columns) == ["x", "y", "z"]
    assert list(frames["n"].columns) == ["n_0", "n_1"]
    assert list(frames["age"].columns) == ["age"]
    for frame in frames.values():
        assert list(frame.index) == [*"pqrs"]
        assert frame.index.name == "sample"
    np.testing.assert_array_equal(frames["a"], MEANS["a"])
    np.testing.assert_array_equal(frames["age"], [[0], [1], [2], [3]])
    bare = cs.to_frames({"a": MEANS["a"]}, container().bare())["a"]
    assert list(bare.index) == [0, 1, 2, 3]
    assert list(bare.columns) == ["a_0", "a_1", "a_2"]


def test_what_was_measured_is_kept_bit_for_bit():
    data = container()
    full = cs.complete(data, MEANS)
    for name in ("a", "n"):
        observed = np.asarray(data.observed(name))
        own = np.asarray(data.values[name])
        assert (full[name][observed] == own[observed]).all()
        assert (full[name][~observed] == np.asarray(MEANS[name])[~observed]).all()
    assert full["a"].dtype == np.float32
    whole = cs.complete(data, {"age": np.zeros(4)})["age"]
    np.testing.assert_array_equal(whole, [1, 2, 3, 4])


def test_the_precision_of_the_file_is_kept():
    """0.1, 1/3 and 10⁻³⁰⁰ have no float32; 2⁵³ − 1 is a count that float64 has."""
    data = container()
    counts = COUNTS.astype(np.int64)
    full = cs.complete(data, MEANS, {"a": HOLES, "n": counts})
    seen = ~np.isnan(HOLES)
    assert full["a"].dtype == np.float64
    assert full["a"][seen].tobytes() == HOLES[seen].tobytes()
    whole = cs.MultimodalData.from_arrays({"n": np.arange(6).reshape(3, 2)})
    big = np.arange(6).reshape(3, 2) + 2**60
    kept = cs.complete(whole, {"n": np.zeros((3, 2))}, {"n": big})["n"]
    assert kept.dtype == np.int64
    np.testing.assert_array_equal(kept, big)


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet"])
def test_what_was_written_is_read_again(suffix, tmp_path):
    data = container()
    full = cs.complete(data, MEANS, {"a": HOLES, "n": COUNTS})
    paths = cs.write_frames(cs.to_frames(full, data), tmp_path, suffix)
    assert [path.name for path in paths] == [f"a{suffix}", f"n{suffix}"]
    again = cs.read_arrays(tmp_path)
    assert again.row_names == [*"pqrs"]
    assert again.feature_names == {"a": ("x", "y", "z"), "n": ("n_0", "n_1")}
    for name, x in full.items():
        assert np.asarray(again.values[name]).tobytes() == x.tobytes()


def test_a_column_of_which_nothing_is_known_stays_missing():
    means = np.ones((4, 3))
    means[:, 1] = np.nan
    names = {"feature_names": {"a": "xyz"}, "allow_empty_rows": True}
    values = np.where(HOLES == 1e-300, 0, HOLES)  # float32 makes it zero, and says so
    data = cs.MultimodalData.from_arrays({"a": values}, **names)
    said = r"means\['a'\]: column 1 \('y'\): NaN in every row.*left missing"
    with pytest.warns(UserWarning, match=said):
        found = cs.complete(data, {"a": means}, {"a": HOLES})["a"]
    expected = np.where(np.isnan(HOLES), 1.0, HOLES)
    expected[:, 1] = HOLES[:, 1]
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda d: cs.to_frames({"a": np.ones((2, 4, 3))}, d),
            r"values\['a'\]: expected the shape \(4, 3\), got \(2, 4, 3\); take one of the",
        ),
        (
            lambda d: cs.to_frames({"a": np.ones((4, 2))}, d),
            r"expected the shape \(4, 3\)",
        ),
        (
            lambda d: cs.to_frames({"b": np.ones((4, 2))}, d),
            r"modalities a, n, age, got",
        ),
        (
            lambda d: cs.complete(d.standardize(), MEANS),
            r"data: expected rows as they were",
        ),
        (
            lambda d: cs.complete(d, {"a": np.ones((4, 2))}),
            r"means\['a'\]: expected the sh",
        ),
        (
            lambda d: cs.complete(d, MEANS, {"a": HOLES}),
            r"measured: expected values of 'n'",
        ),
        (
            lambda d: cs.complete(d, MEANS, {"a": HOLES[:, :2]}),
            r"measured\['a'\]: expected the shape \(4, 3\), got \(4, 2\)",
        ),
        (
            lambda d: cs.complete(d, {"a": np.where(HOLES == 3, 3, np.nan)}),
            r"means\['a'\]: expected finite numbers where something is missing, got 1",
        ),
    ],
)
def test_what_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call(container())


def test_images_are_no_tables():
    data = cs.MultimodalData.from_arrays({"image": np.ones((2, 3, 4))})
    with pytest.raises(
        ValueError, match=r"modality of one axis for a table, got .*3, 4"
    ):
        cs.to_frames({"image": np.ones((2, 3, 4))}, data)


def test_files_are_not_overwritten_by_accident(tmp_path):
    frame = pd.DataFrame({"x": [1.0]}, index=["s1"])
    cs.write_frame(frame, tmp_path / "a.csv")
    with pytest.raises(FileExistsError, match=r"expected a new file, got .*a\.csv"):
        cs.write_frame(frame, tmp_path / "a.csv")
    cs.write_frame(2 * frame, tmp_path / "a.csv", overwrite=True)
    assert (tmp_path / "a.csv").read_text() == ",x\ns1,2.0\n"
    with pytest.raises(
        ValueError, match=r"path: expected a file \.csv, .*got 'a\.xlsx'"
    ):
        cs.write_frame(frame, tmp_path / "a.xlsx")
    with pytest.raises(OSError, match="expected a folder that exists"):
        cs.write_frames({"b": frame}, tmp_path / "nowhere")


def test_a_flipped_bit_of_what_was_written_is_noticed(tmp_path):
    path, x = tmp_path / "a.parquet", np.random.default_rng(0).normal(size=(50, 1))
    cs.write_frame(pd.DataFrame(x, [f"s{i}" for i in range(50)], ["x"]), path)
    raw = path.read_bytes()
    where = raw.index(x[7].tobytes())
    path.write_bytes(raw[:where] + bytes([raw[where] ^ 1]) + raw[where + 1 :])
    with pytest.raises(ValueError, match=r"a\.parquet: expected a whole Parquet file"):
        cs.read(path)


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    frame = pd.DataFrame({"x": [1.0]}, index=["s1"])
    frame.to_parquet(tmp_path / "b.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    for call in (
        lambda: cs.write_frame(frame, tmp_path / "a.parquet"),
        lambda: cs.read(tmp_path / "b.parquet"),
    ):
        with pytest.raises(ImportError, match=r"pip install 'consilience\[parquet\]'"):
            call()


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", ""])
def test_names_stay_within_the_folder(name, tmp_path):
    (tmp_path / "in").mkdir()
    frame = pd.DataFrame({"x": [1.0]}, index=["s1"])
    with pytest.raises(ValueError, match="frames: expected names for files, got"):
        cs.write_frames({name: frame}, tmp_path / "in")
    assert not list((tmp_path / "in").iterdir())
