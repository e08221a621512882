"""Compiled programs are kept between processes, in the user's folder or nowhere."""

import os
import subprocess
import sys

import jax
import pytest

from consilience.cli import cache


@pytest.fixture
def restored():
    names = "jax_compilation_cache_dir", "jax_persistent_cache_min_compile_time_secs"
    before = {name: getattr(jax.config, name) for name in names}
    yield
    for name, value in before.items():
        jax.config.update(name, value)


@pytest.mark.parametrize("word", ["off", "0", "No", "FALSE"])
def test_it_can_be_switched_off(monkeypatch, word):
    monkeypatch.setenv(cache.SWITCH, word)
    assert cache.switch_on() is None
    assert jax.config.jax_compilation_cache_dir is None


def test_the_user_says_where(monkeypatch, tmp_path, restored):
    monkeypatch.setenv(cache.SWITCH, str(tmp_path / "here"))
    folder = cache.switch_on()
    assert folder.parent == tmp_path / "here"
    assert folder.is_dir()
    assert jax.config.jax_compilation_cache_dir == str(folder)


def test_else_it_is_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv(cache.SWITCH, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.place().parent == tmp_path / "consilience"


def test_settings_of_jax_come_first(monkeypatch, tmp_path, restored):
    monkeypatch.setenv(cache.SWITCH, str(tmp_path / "ours"))
    jax.config.update("jax_compilation_cache_dir", str(tmp_path / "theirs"))
    assert cache.switch_on() == tmp_path / "theirs"
    assert not (tmp_path / "ours").exists()


def test_a_folder_that_cannot_be_made_is_no_obstacle(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(cache.SWITCH, str(tmp_path / "file"))
    assert cache.switch_on() is None


def test_the_oldest_programs_go_first(tmp_path):
    for i in range(4):
        path = tmp_path / f"{i}-cache"
        path.write_bytes(b"x" * 100)
        os.utime(path, (1000 + i, 1000 + i))
    cache.prune(tmp_path, 250)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2-cache", "3-cache"]


COMPILE = """
import jax, jax.numpy as jnp
from consilience.cli import cache
cache.SECONDS = 0.0
cache.switch_on()
hits = []
jax.monitoring.register_event_listener(lambda event, **_: hits.append(event))
jax.jit(lambda x: jnp.sin(x) @ x)(jnp.ones((3, 3)))
print(hits.count("/jax/compilation_cache/cache_hits"))
"""


def test_the_second_process_compiles_nothing(tmp_path):
    found = [
        subprocess.run(
            [sys.executable, "-c", COMPILE],
            env=os.environ | {cache.SWITCH: str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(2)
    ]
    assert int(found[0]) == 0
    assert int(found[1]) > 0
