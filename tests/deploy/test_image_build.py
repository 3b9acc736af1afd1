"""The image's build, replayed step by step without Docker: what is sent, copied, built and checked.

What asks the indexes of PyPI and Debian is marked `long`, because it wants a network.
"""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from fnmatch import fnmatch
from pathlib import Path

import pytest
import triton
from support.dockerfile import ROOT, instructions, stage, values
from triton.runtime import build as triton_build

from raysweep.driver.node_faults import faults
from raysweep.system.node_report import node_report

TRITON = Path(triton.__file__).parent
LOCK = (ROOT / "requirements/vllm-cuda.txt").read_text()
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()
SECRET = re.compile(rb"hf_[A-Za-z]{30,}|AKIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY-----")
FROM_SOURCE = "antlr4-python3-runtime"  # PyPI has no wheel of Hydra's parser


def is_sent(path: Path) -> bool:
    """Whether .dockerignore lets a file of the checkout through; its last line that matches decides."""
    sent = True
    for line in (line for line in IGNORED if line and not line.startswith("#")):
        pattern = line.removeprefix("!")
        above = [str(place) for place in (path, *path.parents)]
        if pattern.startswith("**/"):
            matches = any(fnmatch(part, pattern[3:]) for part in path.parts)
        else:
            matches = any(fnmatch(place, pattern) for place in above if place != ".")
        sent = line.startswith("!") if matches else sent
    return sent


def git(*arguments: str) -> list[str]:
    said = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    assert said.returncode in (0, 1), said.stderr
    return said.stdout.splitlines()


def sent_files() -> list[Path]:
    places = [line[1:] for line in IGNORED if line.startswith("!")]
    files = (
        f for p in places for f in ([ROOT / p] if (ROOT / p).is_file() else (ROOT / p).rglob("*"))
    )
    found = (file.relative_to(ROOT) for file in files if file.is_file())
    return sorted(file for file in found if is_sent(file))


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/src of the build stage: what COPY puts there, from what is sent."""
    folder = tmp_path_factory.mktemp("src")
    sent = sent_files()
    for words in (rest.split() for rest in values(stage("build"), "COPY")):
        *sources, target = words
        if sources[0].startswith("--from") or target.startswith("/"):
            continue
        for file in (file for place in sources for file in sent if file.is_relative_to(place)):
            copied = folder / file
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / file, copied)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `pip install --no-deps .` builds there and installs."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run([*pip, "-w", folder, "."], cwd=source, check=True, capture_output=True)
    (built,) = folder.glob("raysweep-*.whl")
    return built


def test_what_is_sent_to_the_builder_is_what_git_tracks():
    sent = sent_files()
    kept = [line[1:] for line in IGNORED if line.startswith("!")]
    tracked = {Path(name) for name in git("ls-files", "--", *kept)}
    assert tracked - set(sent) == set()
    assert git("check-ignore", *map(str, sent)) == []


def test_nothing_of_the_users_own_is_sent():
    for name in (
        ".env",
        "raysweep/.env",
        "models/.token",
        "conf/__pycache__/a.pyc",
        "runs/a.parquet",
    ):
        assert not is_sent(Path(name)), name
    assert not any(SECRET.search((ROOT / file).read_bytes()) for file in sent_files())


@pytest.mark.slow
def test_the_wheel_of_the_image_has_the_packages_definitions_and_models_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    inside = {"raysweep": "raysweep", "actors": "actors"}
    inside |= {"conf": "raysweep/conf", "models": "raysweep/models"}
    expected = {
        f"{inside[file.parts[0]]}/{file.relative_to(file.parts[0])}"
        for file in sent_files()
        if file.parts[0] in inside
    }
    assert names == expected


@pytest.fixture(scope="module")
def python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/raysweep/bin/python with what is installed there, but for packages of this environment."""
    folder = tmp_path_factory.mktemp("venv")
    venv.create(folder, symlinks=True)
    here = sysconfig.get_path("purelib")
    there = sysconfig.get_path("purelib", vars={"base": str(folder)})
    Path(there, "here.pth").write_text(here + "\n")
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python", "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--ignore-installed", wheel], check=True)
    return folder / "bin/python"


def in_image(python: Path, folder: Path, commands: str, **variables: str) -> str:
    """What commands print in an environment as the last stage has it."""
    ended = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", commands],
        cwd=folder,
        env={"PATH": f"{python.parent}:/usr/bin:/bin", "HOME": str(folder), **variables},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
def test_the_checks_of_the_last_stage_pass_with_what_is_installed_there(python, tmp_path: Path):
    """Those of raysweep, by the commands of the Dockerfile. Its imports are of packages on GPUs."""
    checks = values(stage("runtime"), "RUN")[-1].split("&&")
    commands = [check.strip() for check in checks if "raysweep " in check or "bz2" in check]
    assert len(commands) == 3
    assert in_image(python, tmp_path, "\n".join(commands)).startswith("plan ")


@pytest.mark.slow
def test_what_is_installed_there_passes_the_preflight(python: Path, compiled: Path, tmp_path: Path):
    """But for GPUs and vLLM, which this machine does not have."""
    asking = (
        "import json, dataclasses; from actors.node_report import report; "
        "from raysweep.driver.node_questions import Questions; "
        "print(json.dumps(report(dataclasses.asdict(Questions(needs=('torch',))))))"
    )
    commands = f"python -c {shlex.quote(asking)}"
    before = time.time()
    said = node_report(
        "image", json.loads(in_image(python, tmp_path, commands, CC=str(compiled / "cc")))
    )
    assert list(faults(said, said, (), 0, (before, time.time()))) == []
    assert said.compiler and said.code
    # Without the interpreter's packages nothing passes.
    with pytest.raises(AssertionError, match="No module named"):
        in_image(python, tmp_path, f"python -S -c {shlex.quote(asking)}")


def replayed(run: str, folder: Path) -> subprocess.CompletedProcess:
    """A RUN of the build stage in a folder, which stands for /opt/raysweep and the working directory."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-euo", "pipefail", "-c", run.replace("/opt/raysweep", str(folder))],
        cwd=folder,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """/opt/raysweep/libexec, with the module that the build stage compiles for Triton."""
    if shutil.which("gcc") is None:
        pytest.skip("no gcc: on Debian, sudo make system-deps")
    folder = tmp_path_factory.mktemp("opt")
    (folder / "libexec").mkdir()
    shutil.copyfile(ROOT / "deploy/cc", folder / "libexec/cc")
    (run,) = (run for run in values(stage("build"), "RUN") if "cuda_utils.so" in run)
    ended = replayed(run, folder)
    assert ended.returncode == 0, ended.stderr
    return folder / "libexec"


def test_the_module_for_triton_is_built_and_finds_the_hosts_driver(compiled: Path):
    (check, *_) = values(stage("runtime"), "RUN")[-1].split("&&")
    ended = replayed(check, compiled.parent)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_triton_gets_that_module_where_there_is_no_compiler(compiled: Path, tmp_path, monkeypatch):
    """Its own call of the compiler, for the source that it would compile."""
    monkeypatch.setenv("CC", str(compiled / "cc"))
    monkeypatch.setenv("PATH", "/nowhere:/usr/bin:/bin")
    source = tmp_path / "cuda_utils.c"
    source.write_text((TRITON / "backends/nvidia/driver.c").read_text())
    got = triton_build._build(
        "cuda_utils", str(source), str(tmp_path), [], [], ["libcuda.so.1"], []
    )
    assert Path(got).read_bytes() == (compiled / "cuda_utils.so").read_bytes()


def test_that_module_is_all_that_triton_compiles_for_a_gpu():
    """Launchers of kernels are no modules of their own: so any kernel runs without a compiler."""
    asked = [
        ast.unparse(call)
        for file in [*TRITON.glob("runtime/*.py"), *TRITON.glob("backends/nvidia/*.py")]
        for call in ast.walk(ast.parse(file.read_text()))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func).endswith(("compile_module_from_src", "compile_module_from_file"))
    ]
    assert len(asked) == 1 and "name='cuda_utils'" in asked[0] and "'driver.c'" in asked[0]


def test_kernels_find_their_assembler_beside_triton():
    assert os.access(TRITON / "backends/nvidia/bin/ptxas", os.X_OK)


def test_the_image_has_the_triton_and_the_torch_that_were_looked_at_here():
    assert f"\ntriton=={triton.__version__}\n" in LOCK
    assert re.search(r"^torch==2\.13\.0$", LOCK, re.MULTILINE)


# What the preflight looks for on each node, and the instruction that brings it.
BROUGHT = {
    "bubblewrap": r"apt-get install .*\bbubblewrap\b",
    "the interpreter": r"python3\.11 -m venv /opt/raysweep",
    "raysweep and actors": r"pip install --no-deps \.",
    "torch and vllm": r"--requirement requirements/vllm-cuda\.txt",
    "Triton's module": r"-o /opt/raysweep/libexec/cuda_utils\.so",
}


@pytest.mark.parametrize("what", BROUGHT)
def test_what_the_preflight_looks_for_is_in_the_image(what: str):
    runs = values(stage("build") if what != "bubblewrap" else stage("runtime"), "RUN")
    assert any(re.search(BROUGHT[what], run) for run in runs)
    assert "COPY --from=build /opt/raysweep /opt/raysweep" in [
        f"{word} {rest}" for word, rest in stage("runtime")
    ]


def test_a_pod_of_the_image_may_ask_for_the_version_of_its_driver():
    """NVIDIA's container runtime gives a container nvidia-smi and NVML for the capability `utility`."""
    (environment,) = values(stage("runtime"), "ENV")
    assert "NVIDIA_DRIVER_CAPABILITIES=compute,utility" in environment.split()


def test_cuda_of_the_base_image_is_that_of_torch():
    (cuda,) = (rest for rest in values(instructions(), "ARG") if rest.startswith("CUDA="))
    assert re.match(r"CUDA=nvidia/cuda:13\.", cuda)
    assert re.search(r"^nvidia-cuda-runtime==13\.", LOCK, re.MULTILINE)


# ---- with a network ----


@pytest.mark.long
def test_every_package_of_the_lock_file_is_on_the_index(tmp_path: Path):
    """As pip would install them in the build stage, which has this version of Python."""
    how = ("--dry-run", "--no-deps", "--ignore-installed", "--only-binary", ":all:")
    how += ("--no-binary", FROM_SOURCE, "--requirement", "requirements/vllm-cuda.txt")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", *how]
    ended = subprocess.run(pip, cwd=ROOT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-2000:]


@pytest.mark.long
def test_every_system_package_is_known_to_debian():
    """The base image is Ubuntu's, whose names are Debian's. Those that end in t64 have older names."""
    installs = [run for run in values(instructions(), "RUN") if "apt-get install" in run]
    assert len(installs) == 2
    for run in installs:
        (words,) = re.findall(r"--no-install-recommends\s+(.*?)\s+&&", run)
        for name in words.split():
            names = [name, name.removesuffix("t64")]
            known = [subprocess.run(["apt-cache", "show", n], capture_output=True) for n in names]
            assert any(b"Package:" in said.stdout for said in known), name
