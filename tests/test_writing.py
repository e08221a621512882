"""One way to write files: whole or not at all, and never in the place of what is none."""

import os
import socket
import stat
import threading

import numpy as np
import pandas as pd
import pytest
import tiny

import consilience as cs
from consilience.cli import outputs
from consilience.datasets.frames import write_frame
from consilience.datasets.writing import replacing, write_text
from consilience.experiments import pictures
from consilience.experiments.paper import study
from consilience.training.archive import write_archive


def picture(path):
    import matplotlib.pyplot as plt

    pictures.save(plt.figure(), path)


FRAME = pd.DataFrame({"x": [1.5, 2.5]})
WRITERS = {
    "archive.npz": lambda path: write_archive(path, "thing", {}, {"x": np.ones(2)}),
    "table.csv": lambda path: write_frame(FRAME, path, overwrite=True),
    "table.parquet": lambda path: write_frame(FRAME, path, overwrite=True),
    "output.csv": lambda path: outputs.write_table(FRAME, path),
    "log.jsonl": lambda path: cs.JSONLines(path).open(None),
    "study.json": lambda path: study.write(path, {}),
    "text.txt": lambda path: write_text(path, "new"),
    "picture.png": picture,
    "picture.svg": picture,
}


@pytest.fixture(params=WRITERS)
def writer(request):
    return request.param, WRITERS[request.param]


def special(kind, path):
    """What is no regular file."""
    if kind == "folder":
        path.mkdir()
    elif kind == "named pipe":
        os.mkfifo(path)
    elif kind == "socket":
        made = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(path.parent)  # such names are short
        made.bind(path.name)
        os.chdir(here)
        made.close()
    elif os.getuid() == 0:
        try:
            os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
        except PermissionError:
            pytest.skip("no devices here")
    else:
        pytest.skip("only root makes devices")


@pytest.mark.parametrize("kind", ["folder", "named pipe", "socket", "device"])
@pytest.mark.parametrize("linked", [False, True])
def test_what_is_no_regular_file_is_refused_and_stays(writer, kind, linked, tmp_path):
    name, write = writer
    special(kind, tmp_path / "there")
    before = (tmp_path / "there").stat()
    path = tmp_path / "there"
    if linked:
        path = tmp_path / name
        path.symlink_to("there")
    elif name.startswith(("table", "output", "picture")):
        path = (tmp_path / "there").rename(tmp_path / name)
    names = sorted(os.listdir(tmp_path))
    failed: list[Exception] = []

    def run():
        try:
            write(path)
        except OSError as error:
            failed.append(error)

    thread = threading.Thread(target=run, daemon=True)  # a pipe could block
    thread.start()
    thread.join(60)
    assert not thread.is_alive()
    [error] = failed
    assert f"expected a file or a new path, got a {kind}: '{path}'" in str(error)
    after = path.stat()
    assert (after.st_ino, after.st_mode) == (before.st_ino, before.st_mode)
    assert sorted(os.listdir(tmp_path)) == names


@pytest.mark.parametrize("there", [True, False])
def test_links_are_followed(writer, there, tmp_path):
    name, write = writer
    (tmp_path / "far").mkdir()
    target = tmp_path / "far" / f"target-{name}"
    if there:
        target.touch()
    link = tmp_path / name
    link.symlink_to(target)
    write(link)
    assert link.is_symlink()
    assert link.readlink() == target
    assert target.exists()
    assert os.listdir(tmp_path / "far") == [target.name]
    assert target.stat().st_size > 0 or name == "log.jsonl"


def test_permissions_are_those_of_the_file_that_is_replaced_or_of_any_new_one(
    writer, tmp_path
):
    name, write = writer
    path = tmp_path / name
    before = os.umask(0o027)
    try:
        write(path)
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.write_text("")
        path.chmod(0o604)
        write(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


def test_another_name_of_a_file_keeps_the_old_contents(tmp_path):
    (tmp_path / "a").write_text("old")
    os.link(tmp_path / "a", tmp_path / "b")
    write_text(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "b").read_text() == "old"


def test_links_in_a_circle_and_missing_folders_are_refused(tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    with pytest.raises(OSError, match="symbolic links"):
        write_text(tmp_path / "a", "new")
    (tmp_path / "c").symlink_to(tmp_path / "no" / "d")
    with pytest.raises(FileNotFoundError, match=f"exists: '{tmp_path}/no'"):
        write_text(tmp_path / "c", "new")


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everything")
def test_a_write_protected_file_is_refused(tmp_path):
    (tmp_path / "a").write_text("old")
    (tmp_path / "a").chmod(0o444)
    with pytest.raises(PermissionError, match="write-protected one"):
        write_text(tmp_path / "a", "new")


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    (tmp_path / "a").write_text("old")
    with pytest.raises(KeyError), replacing(tmp_path / "a") as partial:  # noqa: PT012
        partial.write_text("half")
        raise KeyError
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_text() == "old"


@pytest.mark.parametrize("name", ["a" * 250, "é" * 120])  # of at most 255 bytes
def test_long_names_fit(name, tmp_path):
    write_text(tmp_path / name, "new")
    assert os.listdir(tmp_path) == [name]


def test_a_saved_model_does_not_take_the_place_of_a_folder(tmp_path):
    (tmp_path / "model.npz").mkdir()
    with pytest.raises(OSError, match="got a folder"):
        tiny.fit(num_epochs=1).save(tmp_path / "model.npz")
    assert os.listdir(tmp_path) == ["model.npz"]
