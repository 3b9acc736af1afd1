"""The notebooks: each runs on a finished run, and is stored without outputs."""

import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
BY_NAME = {"argvalues": NOTEBOOKS, "ids": lambda path: path.stem}


@pytest.mark.slow
@pytest.mark.parametrize("path", **BY_NAME)
def test_a_notebook_runs(
    path: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks")
    (tmp_path / "runs").symlink_to(finished / "runs")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    notebook = nbformat.read(path, as_version=4)
    where = {"metadata": {"path": str(tmp_path / "notebooks")}}
    NotebookClient(notebook, timeout=300, resources=where).execute()
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    said = "".join(output.text for output in outputs if output.output_type == "stream")
    assert "raysweep: " not in said  # how a command that has failed begins


@pytest.mark.parametrize("path", **BY_NAME)
def test_a_notebook_is_stored_without_outputs(path: Path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
    assert set(notebook.metadata) == {"kernelspec", "language_info"}


@pytest.mark.parametrize("path", **BY_NAME)
def test_a_notebook_opens_with_its_title(path: Path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown"
    assert first.source.startswith("# ")
