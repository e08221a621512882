"""Strict by default: warnings are errors, shapes and types are checked at run time."""

import gc
from pathlib import Path

import jax
import pytest
from jaxtyping import install_import_hook

with install_import_hook("consilience", "beartype.beartype"):
    import consilience  # noqa: F401

SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture
def rng_key():
    return jax.random.key(20240131)


@pytest.fixture
def untyped(monkeypatch):
    """No run-time types, as users have it: our own errors are what they see."""
    monkeypatch.setattr("jaxtyping.config.jaxtyping_disable", True)


@pytest.fixture
def strict_ranks():
    """Rank promotion raises: for tests of our own pure functions."""
    with jax.numpy_rank_promotion("raise"):
        yield


@pytest.fixture
def x64():
    """Double precision inside one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def shared_data():
    """Path of a public data file, or a skip with the reason."""

    def find(name: str) -> Path:
        path = SHARED_DATA / name
        if not path.exists():
            pytest.skip(f"{name} is not at hand (looked beside the repository)")
        return path

    return find


MAPS, MOST_MAPS, EVERY = Path("/proc/self/maps"), 30_000, 20
seen = 0


def forget_programs():
    """Compiled programs hold memory maps, of which Linux allows a process 65 530."""
    global seen
    seen += 1
    due = seen % EVERY == 0 and MAPS.exists()
    if due and MAPS.read_bytes().count(b"\n") > MOST_MAPS:
        jax.clear_caches()
        gc.collect()


LONGEST = (Path(__file__).parent / "longest.txt").read_text().splitlines()


def pytest_collection_modifyitems(items):
    """Mark the tests of longest.txt, and what their names begin, as long."""
    for item in items:
        if item.nodeid.removeprefix("tests/").startswith(tuple(LONGEST)):
            item.add_marker(pytest.mark.long)


def pytest_runtest_teardown(item):
    forget_programs()


def pytest_runtest_setup(item):
    """Tests that do not train spend their time compiling: compile them quickly."""
    quick = item.get_closest_marker("slow") is None
    jax.config.update("jax_disable_most_optimizations", quick)
