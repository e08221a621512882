"""Every notebook runs from top to bottom, with warnings as errors, and keeps its pair."""

from pathlib import Path

import jupytext
import pytest
from nbclient import NotebookClient

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.py"))
LONG = {"02_write_your_own_prior", "05_latent_neural_process"}
MARKED = [
    pytest.param(p, id=p.stem, marks=[pytest.mark.long] if p.stem in LONG else [])
    for p in NOTEBOOKS
]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of the client; the kernel has its own
@pytest.mark.parametrize("path", MARKED)
def test_the_notebook_runs(path, monkeypatch):
    monkeypatch.setenv("CONSILIENCE_FAST", "1")
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # compiles twice as fast
    monkeypatch.setenv("MPLBACKEND", "agg")
    monkeypatch.setenv("PYTHONWARNINGS", "error::UserWarning,error::RuntimeWarning")
    notebook = jupytext.read(path)
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_pair_has_the_same_cells_and_carries_outputs(path):
    text, stored = jupytext.read(path), jupytext.read(path.with_suffix(".ipynb"))
    assert [cell.source for cell in text.cells] == [
        cell.source for cell in stored.cells
    ]
    code = [cell for cell in stored.cells if cell.cell_type == "code"]
    assert sum(bool(cell.outputs) for cell in code) >= len(code) // 2
    assert not any(o.output_type == "error" for cell in code for o in cell.outputs)
    assert "site-packages" not in path.with_suffix(".ipynb").read_text()
