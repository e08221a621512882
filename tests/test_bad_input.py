"""Malformed inputs: each is refused with its message, and none reaches XLA."""

import re
from pathlib import Path

import jax
import jax.numpy as jnp
import pytest
from bad_input import ERRORS, BadInput, catalogue

BAD = catalogue()
COMPILED = "/jax/core/compile/backend_compile_duration"
compiled: list[str] = []


def note(event: str, duration: float, **about) -> None:
    if event == COMPILED:
        compiled.append(event)


jax.monitoring.register_event_duration_secs_listener(note)


@pytest.fixture(scope="module", autouse=True)
def nothing_compiled_yet() -> None:
    """Programs of other tests would run without being compiled again."""
    jax.clear_caches()


def test_the_listener_hears_of_compilations():
    before = len(compiled)
    jax.jit(lambda x: x + 1)(jnp.ones(3))
    assert len(compiled) > before


def test_names_are_unique_and_catalogues_are_large():
    names = [bad.name for bad in BAD]
    assert len(set(names)) == len(names)
    assert len(names) >= 150
    page = (Path(__file__).parents[1] / "docs" / "bad_input.md").read_text()
    assert all(f"| {name} |" in page for name in names)
    assert page.count("\n| ") == len(names) + 1


@pytest.mark.filterwarnings("ignore:.*names are not unique")
@pytest.mark.filterwarnings("ignore::Warning:anndata")
@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("bad", BAD, ids=[bad.name for bad in BAD])
def test_it_is_refused_before_anything_compiles(bad: BadInput, tmp_path):
    before = len(compiled)
    with pytest.raises(ERRORS) as caught:
        bad.run(tmp_path)
    assert len(compiled) == before
    assert re.search(bad.match, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value).strip()
