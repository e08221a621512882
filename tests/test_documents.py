"""README, NOTATION and imports stay true."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FOLDERS = (
    "models",
    "guides",
    "inference",
    "training",
    "evaluation",
    "datasets",
    "experiments",
    "cli",
    "nn",
)
SOURCES = [p for folder in FOLDERS for p in sorted((ROOT / folder).rglob("*.py"))]


def notation():
    rows = re.findall(r"^\|(.+)\|$", (ROOT / "NOTATION.md").read_text(), re.MULTILINE)
    cells = [re.split(r"(?<!\\)\|", row) for row in rows[2:]]
    return [tuple(cell.strip() for cell in row) for row in cells]


@pytest.mark.parametrize("row", notation(), ids=lambda row: row[1])
def test_every_name_of_the_notation_stands_in_its_file(row):
    _, name, shape, file = row
    assert shape
    text = (ROOT / file).read_text()
    assert re.search(rf"(?<!\w){re.escape(name.strip('`'))}(?!\w)", text), (name, file)


def python_blocks():
    return re.findall(
        r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
    )


@pytest.mark.slow
def test_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in python_blocks():
        block = re.sub(r"num_epochs=\d00", "num_epochs=2, progress=False", block)
        exec(compile(block, "README.md", "exec"), names)
    assert names["z"].shape == (1000, 500, 2)
    assert names["completed"].shape == (100, 500, 10)
    assert names["reliable"].shape == (500,)
    assert len(names["fitted"].history.bound) == 2
    assert (tmp_path / "model.npz").exists()


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_run_one_way(path):
    """As ARCHITECTURE.md draws it; models and guides do not know one another."""
    below = {
        "datasets": {"datasets", "nn"},
        "nn": {"nn"},
        "models": {"models", "datasets", "nn"},
        "guides": {"guides", "datasets", "nn"},
        "inference": {"inference", "models", "guides", "datasets", "nn"},
        "training": {"training", "inference", "models", "guides", "datasets", "nn"},
        "evaluation": {
            "evaluation",
            "training",
            "inference",
            "models",
            "datasets",
            "nn",
        },
        "experiments": {*FOLDERS} - {"cli"},
        "cli": {*FOLDERS},
    }
    imported = re.findall(
        r"^\s*from consilience\.(\w+)", path.read_text(), re.MULTILINE
    )
    assert set(imported) <= below[path.relative_to(ROOT).parts[0]]
    bare = rf"^\s*(?:from|import) ({'|'.join(FOLDERS)})\b"
    assert not re.findall(bare, path.read_text(), re.MULTILINE)


def test_large_packages_are_imported_late():
    """`import consilience` loads neither arviz nor matplotlib nor scikit-learn."""
    import subprocess
    import sys

    large = "arviz", "matplotlib", "sklearn", "xarray"
    code = f"import sys, consilience; print([m for m in {large} if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert out.stdout.strip() == "[]", out.stderr
