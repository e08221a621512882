"""The file format: exact round trips, and nothing damaged or foreign is taken for good."""

import json
import os
import warnings
import zipfile

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from consilience.training import archive
from consilience.training.archive import ArchiveError, read_archive, write_archive
from consilience.training.encodings import flatten, unflatten

HEADER = {"step": 3, "loss": 0.1 + 0.2, "bounds": [1e-323, 1 / 3, float("inf")]}
ARRAYS = {
    ".state[0]['a$params']['kernel']": np.arange(6, dtype=np.float32).reshape(2, 3) / 7,
    "half": np.arange(4).astype(ml_dtypes.bfloat16) / 3,
    "flags": np.array([True, False]),
    "text": np.array(["ä", "gene 1"]),
    "none": np.zeros((0, 3)),
    "scalar": np.array(1.5),
    "": np.array(2, np.int8),
}


@pytest.fixture
def path(tmp_path):
    write_archive(tmp_path / "a.npz", "thing", HEADER, ARRAYS)
    return tmp_path / "a.npz"


def same(a, b):
    return a.keys() == b.keys() and all(
        a[n].dtype == b[n].dtype and a[n].shape == b[n].shape and np.all(a[n] == b[n])
        for n in a
    )


def test_what_was_written_comes_back_bit_for_bit(path):
    header, arrays = read_archive(path, "thing")
    assert header == HEADER
    assert same(arrays, ARRAYS)
    assert same({"": np.load(path)[""]}, {"": ARRAYS[""]})  # NumPy reads it too


def test_same_contents_same_bytes_and_nothing_else_in_the_folder(path):
    before = path.read_bytes()
    write_archive(path, "thing", HEADER, ARRAYS)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["a.npz"]


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
def test_keys_come_back_as_keys(impl, tmp_path):
    keys = jax.random.split(jax.random.key(4, impl=impl), 3)
    write_archive(tmp_path / "k.npz", "thing", {}, {"keys": keys})
    back = read_archive(tmp_path / "k.npz", "thing")[1]["keys"]
    assert back.dtype == keys.dtype
    np.testing.assert_array_equal(*map(jax.random.key_data, (back, keys)))


@pytest.mark.parametrize("wrong", [np.array([{}]), np.zeros(2, [("a", "f4")])])
def test_objects_and_records_are_refused_by_name(wrong, tmp_path):
    with pytest.raises(TypeError, match=r"arrays\['x'\]: expected numbers or text"):
        write_archive(tmp_path / "x.npz", "thing", {}, {"x": wrong})
    assert os.listdir(tmp_path) == []


def test_a_name_that_no_file_can_have_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"name for a file, got 'a\\x00b"):
        write_archive(tmp_path / "x.npz", "thing", {}, {"a\0b": np.zeros(1)})


def flips(size):
    inner = np.random.default_rng(0).integers(0, size, 400)
    return sorted({*range(200), *range(size - 200, size), *inner.tolist()})


@pytest.mark.parametrize("bit", [1, 128, 255])
def test_a_flipped_byte_is_refused_or_changes_nothing(bit, path):
    """Bytes that say nothing, such as dates of the zip format, may differ."""
    whole = path.read_bytes()
    refused = 0
    for place in flips(len(whole)):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ bit]) + whole[place + 1 :]
        )
        try:
            header, arrays = read_archive(path, "thing")
        except ArchiveError as error:
            refused += str(path) in str(error)
        else:
            assert header == HEADER, place
            assert same(arrays, ARRAYS), place
    assert refused > 400


def test_every_truncation_is_refused(path):
    whole = path.read_bytes()
    lengths = {*range(100), *range(100, len(whole), 37)}
    for length in [*lengths, *range(len(whole) - 100, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(ArchiveError, match=r"truncated|the rest of one"):
            read_archive(path, "thing")


def repacked(path, change):
    """The same file with other members: every checksum of the zip format is right."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    change(members)
    with zipfile.ZipFile(path, "w") as file:
        for name, content in members.items():
            file.writestr(name, content)


def with_header(**changed):
    def change(members):
        text = json.dumps(json.loads(members[archive.HEADER]) | changed).encode()
        members[archive.HEADER] = text
        members[archive.CHECKSUM] = archive._sha256(text).encode()

    return change


def swap(members):
    members["flags.npy"] = members["scalar.npy"]


REPACKED = {
    "newer": (with_header(version=2), r"format up to 1, got 2; a newer consilience"),
    "other program": (with_header(format="other"), "archive of consilience"),
    "swapped": (swap, "damaged: the checksum of 'flags' is wrong"),
    "lost": (lambda m: m.pop("flags.npy"), "damaged: the array 'flags' is not there"),
    "added": (lambda m: m.update(b=b""), "damaged: b is not in its header"),
    "header": (
        lambda m: m.update({archive.HEADER: b"{}"}),
        "damaged: the checksum of the header is wrong",
    ),
    "npz of others": (lambda m: m.pop(archive.HEADER), "expected an archive of cons"),
}


@pytest.mark.parametrize("case", REPACKED)
def test_other_contents_are_refused_in_a_sentence(case, path):
    change, message = REPACKED[case]
    repacked(path, change)
    with pytest.raises(ArchiveError, match=message) as caught:
        read_archive(path, "thing")
    assert str(path) in str(caught.value)


def test_other_kinds_and_foreign_files_are_refused(path, tmp_path):
    with pytest.raises(ArchiveError, match="expected a model, got a thing"):
        read_archive(path, "model")
    (tmp_path / "b.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ArchiveError, match=r"b\.csv: expected an archive of cons"):
        read_archive(tmp_path / "b.csv", "thing")
    with pytest.raises(FileNotFoundError):
        read_archive(tmp_path / "nothing.npz", "thing")


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=rf"that exists: '{tmp_path}/no'$"):
        write_archive(tmp_path / "no" / "a.npz", "thing", {}, {})


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    call, path, monkeypatch
):
    def full(*_):
        raise OSError(28, "No space left on device")

    before = path.read_bytes()
    monkeypatch.setattr(os, call, full)
    with pytest.raises(OSError, match="No space left"):
        write_archive(path, "thing", {}, {})
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == ["a.npz"]


def state():
    params = {"a$params": {"w": jnp.ones((2, 3)), "b": jnp.arange(2)}}
    return {"opt": optax.adam(1e-3).init(params), "key": jax.random.key(7)}


def test_trees_come_back_into_a_tree_like_them(tmp_path):
    tree = state()
    like = jax.eval_shape(state)
    write_archive(tmp_path / "t.npz", "thing", {}, flatten(tree))
    back = unflatten(like, read_archive(tmp_path / "t.npz", "thing")[1])
    assert jax.tree.structure(back) == jax.tree.structure(tree)
    for ours, theirs in zip(*map(jax.tree.leaves, (back, tree)), strict=True):
        assert np.all(ours == theirs)
    own = {"numpy": np.array([np.pi]), "number": np.e}
    assert unflatten(own, flatten(own)) == own
    assert isinstance(unflatten(own, flatten(own))["numpy"], np.ndarray)


CHANGED = {
    r"\['b'\] is missing": {"a": jnp.zeros(2)},
    r"\['c'\] is superfluous": {
        "a": jnp.zeros(2),
        "b": jnp.zeros(2),
        "c": jnp.zeros(2),
    },
    r"\['b'\]: expected float32\[2\], got float32\[3\]": {
        "a": jnp.zeros(2),
        "b": jnp.zeros(3),
    },
    r"\['b'\]: expected float32\[2\], got int32\[2\]": {
        "a": jnp.zeros(2),
        "b": jnp.arange(2),
    },
}


@pytest.mark.parametrize("message", CHANGED)
def test_trees_of_another_kind_are_refused_by_name(message):
    like = {"a": jnp.zeros(2), "b": jnp.zeros(2)}
    with pytest.raises(ValueError, match=message):
        unflatten(like, flatten(CHANGED[message]))


FORGED = {
    "nested brackets": b"[" * 10**5 + b"]" * 10**5,
    "a list": b"[]",
    "a number": b"3",
    "no version": b'{"format": "consilience"}',
    "arrays that are none": json.dumps(
        {"format": "consilience", "version": 1, "kind": "thing", "arrays": 3}
    ).encode(),
}


@pytest.mark.parametrize("case", FORGED)
def test_forged_headers_are_refused_in_a_sentence(case, path):
    def change(members):
        members[archive.HEADER] = FORGED[case]
        members[archive.CHECKSUM] = archive._sha256(FORGED[case]).encode()

    repacked(path, change)
    with pytest.raises(ArchiveError, match="damaged: its header is not as consilience"):
        read_archive(path, "thing")


def test_packed_and_repeated_members_are_refused(path):
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    for compress, twice in ((zipfile.ZIP_DEFLATED, []), (zipfile.ZIP_STORED, ["b"])):
        with zipfile.ZipFile(path, "w", compress) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of zipfile, about the second one
            for name in [*members, *twice, *twice]:
                file.writestr(name, members.get(name, b""))
        with pytest.raises(ArchiveError, match=r"it is compressed|comes twice"):
            read_archive(path, "thing")
