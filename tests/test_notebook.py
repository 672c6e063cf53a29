"""The notebook among the examples runs, from a model and arrays to a report and a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

NOTEBOOK = Path(__file__).parents[1] / "examples" / "notebook" / "digits.ipynb"
# in a process of its own: what Jupyter leaves open is its own
RUN = """
import sys, nbclient, nbformat
read = nbformat.read(sys.argv[1], 4)
folder = {"metadata": {"path": "."}}
nbclient.NotebookClient(read, timeout=280, kernel_name="python3", resources=folder).execute()
nbformat.write(read, "run.ipynb")
"""


@pytest.mark.heavy
def test_the_notebook_runs(tmp_path: Path) -> None:
    pytest.importorskip("nbclient")
    pytest.importorskip("ipykernel")
    cells = [c for c in json.loads(NOTEBOOK.read_text())["cells"] if c["cell_type"] == "code"]
    assert len(cells) == 10
    assert not any(cell["outputs"] for cell in cells)  # what a run printed is not kept
    done = subprocess.run(
        [sys.executable, "-c", RUN, str(NOTEBOOK)],
        cwd=tmp_path,
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    run = json.loads((tmp_path / "run.ipynb").read_text())["cells"]
    shown = [
        next((out["data"] for out in cell["outputs"] if "data" in out), {})
        for cell in run
        if cell["cell_type"] == "code"
    ]
    assert "<Inspection digits: keras, 38,282 parameters" in "".join(shown[2]["text/plain"])
    assert "srcdoc" in "".join(shown[3]["text/html"])  # the report's page
    assert "image/png" in shown[5]
    for name in ("digits.tflite", "stream.tflite", "loader.tflite", "report.html"):
        assert (tmp_path / name).stat().st_size > 1000
