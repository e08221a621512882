"""Checkpoints: when, how many, which one, and what happens when the disk is full."""

import errno
import os

import faults
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from consilience.training import archive, checkpoints
from consilience.training.archive import ArchiveError
from consilience.training.checkpoints import Checkpoints, CheckpointStore
from consilience.training.encodings import flatten

FINGERPRINT = {"batch_size": 64, "rows": 10, "bound": "MaskedELBO", "rate": 0.1}


def tree(step):
    return {"x": jnp.full(3, step, float), "key": jax.random.key(step)}


LIKE = jax.eval_shape(lambda: tree(0))


def store(folder, fingerprint=FINGERPRINT, **settings):
    settings = {"every_seconds": None, "every_steps": 10} | settings
    return CheckpointStore(Checkpoints(folder, **settings), fingerprint)


def saved(folder, *steps, **settings):
    ours = store(folder, **settings)
    for step in steps:
        ours.save(step, {"step": step, "loss": step / 3}, tree(step))
    return ours


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def cut(path):
    path.write_bytes(path.read_bytes()[:-100])


@pytest.fixture
def no_space(monkeypatch):
    def switch_on():
        def fsync(handle):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(archive.os, "fsync", fsync)

    return switch_on


def test_the_newest_comes_back_and_older_ones_go(tmp_path):
    saved(tmp_path, 10, 20, 30, 40, keep=2)
    assert sorted(os.listdir(tmp_path)) == ["step-000000030.npz", "step-000000040.npz"]
    header, state = store(tmp_path, resume=True).latest(LIKE)
    assert header == {"step": 40, "loss": 40 / 3}
    np.testing.assert_array_equal(state["x"], 40.0)
    assert state["key"] == jax.random.key(40)


def test_a_new_folder_is_made_and_has_no_latest(tmp_path):
    for resume in (False, True):
        ours = store(tmp_path / "a" / str(resume), resume=resume)
        assert ours.latest(LIKE) is None
        assert os.listdir(ours.folder) == []


def test_due_by_steps_and_by_seconds(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: now[0])
    ours = saved(tmp_path, 7, every_steps=10, every_seconds=5.0)
    assert [ours.due(step) for step in (8, 16, 17, 18)] == [False, False, True, True]
    now[0] = 104.9
    assert not ours.due(8)
    now[0] = 105.0
    assert ours.due(8)
    ours.save(8, {}, tree(8))
    assert not ours.due(9)
    again = store(tmp_path, every_steps=10, resume=True)
    again.latest(LIKE)
    assert [again.due(step) for step in (17, 18)] == [False, True]


@pytest.mark.parametrize("damage", [flip, cut, lambda path: path.write_bytes(b"")])
def test_a_damaged_one_is_reported_and_the_one_before_it_used(damage, tmp_path):
    saved(tmp_path, 10, 20, 30)
    damage(tmp_path / "step-000000030.npz")
    ours = store(tmp_path, resume=True)
    with pytest.warns(
        UserWarning, match=r"step-000000030\.npz: .*one before it is used"
    ):
        header, state = ours.latest(LIKE)
    assert header["step"] == 20
    np.testing.assert_array_equal(state["x"], 20.0)
    ours.save(25, {}, tree(25))  # the damaged one does not push out intact ones
    assert ours.steps() == [10, 20, 25, 30]
    ours.save(30, {}, tree(30))
    assert ours.steps() == [20, 25, 30]
    assert store(tmp_path, resume=True).latest(LIKE)[0] == {}


def test_nothing_but_damaged_ones_is_refused(tmp_path):
    saved(tmp_path, 10, 20)
    for path in tmp_path.iterdir():
        flip(path)
    ours = store(tmp_path, resume=True)
    with (
        pytest.warns(UserWarning, match="damaged"),
        pytest.raises(ArchiveError, match="none of its 2 checkpoints can be read"),
    ):
        ours.latest(LIKE)


@pytest.mark.parametrize(
    ("fingerprint", "header"), [(None, {}), ({}, 3), ("settings", {})]
)
def test_what_is_no_checkpoint_of_a_run_is_damaged(fingerprint, header, tmp_path):
    saved(tmp_path, 10)
    described = {"fingerprint": fingerprint, "header": header}
    archive.write_archive(
        tmp_path / "step-000000020.npz", "checkpoint", described, flatten(tree(20))
    )
    with pytest.warns(UserWarning, match=r"step-000000020\.npz: expected a checkpoint"):
        found, _ = store(tmp_path, resume=True).latest(LIKE)
    assert found["step"] == 10


def test_a_used_folder_is_refused_without_resume(tmp_path):
    saved(tmp_path, 10)
    name = "step-000000010.npz"
    before = (tmp_path / name).read_bytes()
    with pytest.raises(ValueError, match=rf"holds {name} already; .*resume=True"):
        store(tmp_path)
    assert (tmp_path / name).read_bytes() == before


def test_a_run_with_other_settings_is_refused_by_name(tmp_path):
    saved(tmp_path, 10)
    other = {"batch_size": 128, "bound": "MaskedELBO", "rate": 0.1, "mesh": 2}
    ours = store(tmp_path, other, resume=True)
    message = (
        "batch_size: the run had 64, now 128; rows: the run had 10, now None; "
        "mesh: the run had None, now 2"
    )
    with pytest.raises(ValueError, match=message):
        ours.latest(LIKE)


def test_another_state_is_refused_by_name(tmp_path):
    saved(tmp_path, 10)
    like = LIKE | {"x": jax.ShapeDtypeStruct((4,), "float32")}
    with pytest.raises(
        ValueError,
        match=r"another model.*\['x'\]: expected float32\[4\], got float32\[3\]",
    ):
        store(tmp_path, resume=True).latest(like)


def test_a_checkpoint_is_due_before_steps_would_be_too_many(tmp_path):
    ours = saved(tmp_path, 10, every_seconds=None, every_steps=4)
    assert not ours.due(12, ahead=2)  # 14 is still in time
    assert ours.due(12, ahead=3)
    assert ours.due(14)
    assert not ours.due(13)


def test_a_full_disk_loses_nothing_and_says_so(tmp_path, no_space):
    ours = saved(tmp_path, 10, 20)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    no_space()
    message = rf"step-000000030.* into {tmp_path}: No space .*that of step 20 is intact"
    with pytest.raises(OSError, match=message) as caught:
        ours.save(30, {}, tree(30))
    assert caught.value.errno == errno.ENOSPC
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_cannot_be_written_is_refused_at_the_start(tmp_path, no_space):
    for folder in ("/proc/consilience", tmp_path / "file" / "inside"):
        (tmp_path / "file").write_text("")
        with pytest.raises(OSError, match=f"nothing can be written into {folder}: "):
            store(folder)
    no_space()
    with pytest.raises(OSError, match=r"new: No space left on device"):
        store(tmp_path / "new")


def test_what_killed_writers_left_is_removed(tmp_path):
    saved(tmp_path, 10)
    (tmp_path / ".step-000000020.npz.0a1b2c3d.partial").write_bytes(b"PK")
    (tmp_path / "notes.txt").write_text("mine")
    ours = store(tmp_path, resume=True)
    assert sorted(os.listdir(tmp_path)) == ["notes.txt", "step-000000010.npz"]
    assert ours.latest(LIKE)[0]["step"] == 10


def test_of_several_processes_the_first_one_writes(tmp_path, monkeypatch):
    saved(tmp_path, 10)
    monkeypatch.setattr(jax, "process_index", lambda: 1)
    ours = store(tmp_path, resume=True)
    ours.save(20, {}, tree(20))
    assert ours.steps() == [10]
    assert not ours.due(29)
    assert ours.latest(LIKE)[0]["step"] == 10


REFUSED = [
    ({"every_seconds": None}, "every_seconds, every_steps: expected at least one"),
    ({"every_seconds": 0.0}, r"every_seconds: expected a number above 0, got 0\.0"),
    ({"every_seconds": float("nan")}, "every_seconds: .* got nan"),
    ({"every_steps": 0}, "every_steps: expected a positive integer, got 0"),
    ({"keep": 0}, "keep: expected a positive integer, got 0"),
]


@pytest.mark.parametrize(("wrong", "match"), REFUSED)
def test_settings_that_make_no_sense_are_refused(wrong, match):
    with pytest.raises(ValueError, match=match):
        Checkpoints("folder", **wrong)


@pytest.mark.slow
def test_five_kills_at_random_moments_leave_the_bits_of_a_run_without_any(tmp_path):
    """All hundred, and other faults: `make faults`."""
    outcome = faults.kills(faults.Bench(tmp_path, num_epochs=12), 5, seed=0, fresh=0)
    assert outcome.passed, outcome.found
