"""Run every notebook from top to bottom and store it, with its outputs, as .ipynb."""

from pathlib import Path

import jupytext
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[1] / "notebooks"

for source in sorted(FOLDER.glob("*.py")):
    notebook = jupytext.read(source)
    NotebookClient(notebook, kernel_name="python3", resources={}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times, which differ at every run
        if "outputs" in cell:  # what goes to stderr names paths of this machine
            kept = [o for o in cell.outputs if o.get("name") != "stderr"]
            cell.outputs = kept
    jupytext.write(notebook, source.with_suffix(".ipynb"))
    print(f"{source.name}: {len(notebook.cells)} cells")
