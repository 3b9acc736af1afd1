"""The wheel contains everything that raysweep needs, and it runs without a checkout."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NEEDED = {
    "actors/kv/r_kv.py",
    "actors/py.typed",
    "raysweep/conf/config.yaml",
    "raysweep/conf/model/qwen3-8b.yaml",
    "raysweep/models/tiny-60k/model.safetensors",
    "raysweep/models/quantized/tiny-60k-gptq4-g32/model.safetensors",
    "raysweep/planning/threshold_power.csv",
    "raysweep/published/published.yaml",
    "raysweep/py.typed",
}
UNWANTED = ("tests/", "docs/", "notebooks/", "benchmarks/", "deploy/", "conf/", "models/", "runs/")


def run(*command: str | Path, cwd: Path, path: Path | None = None) -> str:
    """The output of a command in an environment without a checkout."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    if path is not None:
        environment["PATH"] = os.pathsep.join([str(path), environment["PATH"]])
    said = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    how = ("--no-deps", "--no-build-isolation", "--disable-pip-version-check", "--quiet")
    run(sys.executable, "-m", "pip", "wheel", *how, "-w", folder, ROOT, cwd=folder)
    (built,) = folder.glob("raysweep-*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel, and this one's packages but for raysweep.

    A folder that a .pth file names is searched, but its own .pth files are not read: so it brings no
    checkout that is installed here as editable.
    """
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, symlinks=True)
    here = sysconfig.get_path("purelib")
    there = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    Path(there, "here.pth").write_text(here + "\n")
    how = (
        "--python",
        folder / "bin/python",
        "install",
        "--no-deps",
        "--ignore-installed",
        "--quiet",
    )
    run(sys.executable, "-m", "pip", "--disable-pip-version-check", *how, wheel, cwd=folder)
    return folder / "bin"


@pytest.mark.slow
def test_definitions_models_and_types_are_in_it_and_nothing_else(wheel: Path):
    names = set(zipfile.ZipFile(wheel).namelist())
    assert names >= NEEDED
    assert not [name for name in names if name.startswith(UNWANTED) or "__pycache__" in name]
    page = {path.name for path in (ROOT / "raysweep/reporting/web").iterdir() if path.is_file()}
    assert {f"raysweep/reporting/web/{name}" for name in page} <= names


@pytest.mark.slow
def test_it_runs_to_the_report_in_an_empty_folder_and_leaves_nothing_else(
    installed: Path, tmp_path: Path
):
    program = "import raysweep, actors; print(raysweep.__file__, actors.__file__)"
    where = run(installed / "python", "-c", program, cwd=tmp_path)
    assert str(ROOT) not in where
    said = run(installed / "python", "-m", "raysweep", "+sweep=smoke", cwd=tmp_path)
    assert "144 scenarios from 768 samples" in said
    assert (tmp_path / "runs/smoke/report/index.html").is_file()
    assert os.listdir(tmp_path) == ["runs"]


@pytest.mark.slow
def test_its_command_does_the_same(installed: Path, tmp_path: Path):
    assert shutil.which("raysweep", path=str(installed))
    said = run("raysweep", "stages=[plan]", cwd=tmp_path, path=installed)
    assert "2,016 scenarios from 24 engines" in said
