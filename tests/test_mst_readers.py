"""MNIST, SVHN and text, from files that the tests write."""

import gzip
import struct

import jax
import numpy as np
import pytest
from scipy.io import savemat

from consilience.datasets.digits import WORDS
from consilience.datasets.labelled import read_labelled
from consilience.datasets.read_mnist import read_idx, read_mnist
from consilience.datasets.read_svhn import read_cropped, read_svhn
from consilience.datasets.text_digits import ALPHABET, read_words, write_words

RNG = np.random.default_rng(0)
IMAGES = {
    "train": RNG.integers(0, 256, (7, 5, 3), dtype=np.uint8),
    "t10k": RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8),
}
DIGITS = {"train": np.array([5, 0, 4, 1, 9, 2, 1], np.uint8), "t10k": np.arange(4)}


def idx(array):
    """Bytes of an IDX file, written as its description says."""
    head = struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape)
    return head + array.astype(np.uint8).tobytes()


def write_idx(folder, dash="-", end=""):
    pack = gzip.compress if end else bytes
    for part in IMAGES:
        for kind, rows in (("images-idx3", IMAGES), ("labels-idx1", DIGITS)):
            name = f"{part}-{kind}-ubyte{end}".replace("-idx", f"{dash}idx")
            (folder / name).write_bytes(pack(idx(rows[part])))
    return folder


def assert_is_mnist(found):
    for part, name in zip(found, ("train", "t10k"), strict=True):
        np.testing.assert_array_equal(part.values, IMAGES[name])
        np.testing.assert_array_equal(part.labels, DIGITS[name])
        assert part.values.dtype == np.uint8
        assert part.labels.dtype.kind == "i"


@pytest.mark.parametrize("end", ["", ".gz"])
@pytest.mark.parametrize("dash", ["-", "."])
def test_idx_files_are_read(tmp_path, dash, end):
    assert_is_mnist(read_mnist(write_idx(tmp_path, dash, end)))


@pytest.mark.parametrize("place", ["", "mnist.npz"])
def test_an_archive_is_read(tmp_path, place):
    parts = {"train": "train", "test": "t10k"}
    arrays = {f"x_{p}": IMAGES[n] for p, n in parts.items()}
    arrays |= {f"y_{p}": DIGITS[n] for p, n in parts.items()}
    np.savez(tmp_path / "mnist.npz", **arrays)
    assert_is_mnist(read_mnist(tmp_path / place))


@pytest.mark.parametrize("missing", ["train-images", "t10k-labels"])
def test_a_missing_file_says_what_to_get_and_where(tmp_path, missing):
    folder = write_idx(tmp_path)
    next(folder.glob(f"{missing}*")).unlink()
    with pytest.raises(FileNotFoundError, match=f"expected {missing}-idx") as raised:
        read_mnist(folder)
    assert "MNIST database of Yann LeCun" in str(raised.value)


def test_no_folder_is_no_mystery(tmp_path):
    with pytest.raises(FileNotFoundError, match="got no files"):
        read_mnist(tmp_path / "none")


GOOD = idx(IMAGES["train"])


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "begins with 00 00 08 03, got nothing"),
        (b"\x00\x00\x0d\x03" + GOOD[4:], "got 00 00 0d 03"),
        (b"PK\x03\x04" + GOOD[4:], "got 50 4b 03 04"),
        (GOOD[:10], "begins with"),
        (GOOD[:-1], r"expected 105 bytes for shape \(7, 5, 3\), got 104"),
        (GOOD + b"\x00", "got more"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 2**32 - 1, 2**20, 9), "expected 1 to 2147"),
        (struct.pack(">4B3I", 0, 0, 8, 3, 0, 5, 3), "expected 1 to 2147"),
    ],
)
def test_damaged_idx_files_are_refused(tmp_path, content, said):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"file: .*{said}"):
        read_idx(path, 3)


@pytest.mark.parametrize("content", [GOOD, gzip.compress(GOOD)[:-9], b""])
def test_damaged_gzip_files_are_refused(tmp_path, content):
    path = tmp_path / "file.gz"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"file\.gz: expected"):
        read_idx(path, 3)


def test_classes_must_be_one_an_image(tmp_path):
    folder = write_idx(tmp_path)
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(DIGITS["train"][:-1]))
    with pytest.raises(ValueError, match="train-labels: expected 7 whole numbers"):
        read_mnist(folder)


def test_archives_of_other_arrays_are_refused(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez(path, x_train=IMAGES["train"])
    with pytest.raises(
        ValueError, match=r"expected arrays x_train, y_train, .*got x_tr"
    ):
        read_mnist(tmp_path)
    path.write_bytes(b"PK not an archive")
    with pytest.raises(ValueError, match=r"mnist.npz: expected a whole .npz file"):
        read_mnist(tmp_path)


# SVHN

COLOURS = RNG.integers(0, 256, (32, 32, 3, 6), dtype=np.uint8)
STREET = np.array([[10], [1], [9], [10], [5], [2]], np.uint8)


def test_cropped_digits_are_read_with_ten_for_zero(tmp_path):
    savemat(tmp_path / "train_32x32.mat", {"X": COLOURS, "y": STREET})
    test = {"X": COLOURS[..., :2], "y": STREET[:2].astype(float).astype(np.uint8)}
    savemat(tmp_path / "test_32x32.mat", test, do_compression=True)
    train, test = read_svhn(tmp_path)
    assert train.values.shape == (6, 32, 32, 3)
    for i in range(6):
        np.testing.assert_array_equal(train.values[i], COLOURS[..., i])
    np.testing.assert_array_equal(train.labels, [0, 1, 9, 0, 5, 2])
    np.testing.assert_array_equal(test.values, train.values[:2])
    np.testing.assert_array_equal(test.labels, [0, 1])


@pytest.mark.parametrize("missing", ["train_32x32.mat", "test_32x32.mat"])
def test_a_missing_mat_file_says_what_to_get_and_where(tmp_path, missing):
    for name in {"train_32x32.mat", "test_32x32.mat"} - {missing}:
        savemat(tmp_path / name, {"X": COLOURS, "y": STREET})
    with pytest.raises(FileNotFoundError, match=f"expected {missing}, got t") as raised:
        read_svhn(tmp_path)
    assert "format 2 (cropped digits)" in str(raised.value)
    assert "Stanford" in str(raised.value)


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"X": COLOURS}, "expected arrays X and y, got X"),
        ({"z": STREET}, "expected arrays X and y, got none"),
        ({"X": COLOURS[:16], "y": STREET}, r"X: .*\(16, 32, 3, 6\)"),
        ({"X": COLOURS / 255, "y": STREET}, "X: expected bytes .* got float64"),
        ({"X": COLOURS, "y": STREET[1:]}, r"y: expected 6 .* shape \(5,\)"),
        ({"X": COLOURS, "y": STREET / 2}, "y: expected 6 whole numbers .* float64"),
        ({"X": COLOURS, "y": STREET % 10}, "y: expected 1 to 10, .* got 0 to 9"),
    ],
)
def test_other_mat_files_are_refused(tmp_path, arrays, said):
    path = tmp_path / "test.mat"
    savemat(path, arrays)
    with pytest.raises(ValueError, match=f"test.mat: {said}"):
        read_cropped(path)


@pytest.mark.parametrize("cut", [0, 100, 1000])
def test_damaged_mat_files_are_refused(tmp_path, cut):
    path = tmp_path / "test.mat"
    savemat(path, {"X": COLOURS, "y": STREET})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(ValueError, match=r"test\.mat: expected"):
        read_cropped(path)


# Archives of any measurements

VALUES, CLASSES = RNG.integers(0, 256, (50, 4, 4), dtype=np.uint8), np.arange(50) % 5


def test_the_file_says_which_rows_are_for_testing(tmp_path):
    is_test = np.arange(50) % 3 == 0
    path = tmp_path / "a.npz"
    np.savez(path, sound=VALUES, label=CLASSES, is_test=is_test, rate=np.array(8000))
    train, test = read_labelled(path)
    np.testing.assert_array_equal(test.values, VALUES[is_test])
    np.testing.assert_array_equal(test.labels, CLASSES[is_test])
    np.testing.assert_array_equal(train.values, VALUES[~is_test])


def test_or_every_fifth_of_each_class_is_no_row_in_both(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=VALUES, y=CLASSES)
    train, test = read_labelled(path)
    assert np.bincount(test.labels).tolist() == [2] * 5
    assert np.bincount(train.labels).tolist() == [8] * 5
    everything = {v.tobytes() for v in (*train.values, *test.values)}
    assert len(everything) == 50


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"x": VALUES}, "expected one array .* got x"),
        ({"x": VALUES, "a": VALUES, "y": CLASSES}, "expected one array"),
        ({"x": VALUES, "y": CLASSES[1:]}, "expected 50 whole numbers as classes"),
        ({"x": VALUES, "y": CLASSES, "is_test": CLASSES}, "is_test: expected 50 bool"),
        (
            {"x": VALUES, "y": CLASSES, "is_test": np.zeros(50, bool)},
            "expected rows to train on and rows to test on, got 0 of 50",
        ),
    ],
)
def test_other_archives_are_refused(tmp_path, arrays, said):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=f"a.npz: {said}"):
        read_labelled(tmp_path / "a.npz")


def test_objects_are_never_unpickled(tmp_path):
    objects = np.array([{}, None], object)
    np.savez(tmp_path / "a.npz", x=objects, y=CLASSES)
    with pytest.raises(ValueError, match=r"a\.npz: .*without objects"):
        read_labelled(tmp_path / "a.npz")
    with pytest.raises(FileNotFoundError, match=r"expected an \.npz file, got none"):
        read_labelled(tmp_path / "b.npz")


# Text


def test_words_stand_at_every_place_where_they_fit(rng_key):
    digits = np.repeat(np.arange(10), 200)
    text = write_words(rng_key, digits)
    assert text.shape == (2000, 8, 71)
    assert set(np.unique(text)) == {0, 1}
    np.testing.assert_array_equal(text.sum(-1), 1)
    assert (read_words(text) == np.array(WORDS)[digits]).all()
    for digit, word in enumerate(WORDS):
        index = text[digits == digit].argmax(-1)
        starts = (index != ALPHABET.index(" ")).argmax(-1)
        counts = np.bincount(starts)
        assert len(counts) == 8 - len(word) + 1
        mean = 200 / len(counts)  # five standard deviations of a multinomial count
        assert (abs(counts - mean) < 5 * np.sqrt(mean)).all()


def test_the_same_key_writes_the_same_text(rng_key):
    digits = np.arange(10)
    first, same = write_words(rng_key, digits), write_words(rng_key, digits)
    np.testing.assert_array_equal(first, same)
    assert (write_words(jax.random.key(1), digits) != first).any()


def test_words_are_read_from_probabilities(rng_key):
    text = write_words(rng_key, [3, 7], length=5)
    assert read_words(0.6 * text + 0.4 / 71).tolist() == ["three", "seven"]


@pytest.mark.parametrize(
    ("labels", "length", "said"),
    [
        ([10], 8, "labels: expected digits 0 to 9"),
        ([-1], 8, "labels: expected digits 0 to 9"),
        ([0.5], 8, "labels: .* got float64"),
        ([[1]], 8, r"labels: .* shape \(1, 1\)"),
        ([1], 4, "length: expected 5 or more, got 4"),
    ],
)
def test_what_is_no_digit_is_refused(rng_key, labels, length, said):
    with pytest.raises(ValueError, match=said):
        write_words(rng_key, np.array(labels), length)
