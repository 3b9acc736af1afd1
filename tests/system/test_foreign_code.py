"""Code from outside is never run: neither code in a file nor code that a text asks for."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.command import Command
from support.configurations import read, valid_configuration, write_models

from raysweep.errors import ConfigError

ROOT = Path(__file__).parents[2]
SOURCES = sorted(file for name in ("raysweep", "actors") for file in (ROOT / name).rglob("*.py"))


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return write_models(tmp_path, "small", "large")


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call in a source file, as (dotted name, node)."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


def imports(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


RUNS_CODE = re.compile(
    r"(^|\.)(torch\.load|yaml\.(load|unsafe_load|full_load)|os\.(system|popen)|joblib\.load|np\.load)$"
    r"|^(eval|exec|__import__)$"
)
SANDBOXED = ROOT / "raysweep/grading/sandboxed.py"  # which runs inside the sandbox, to run programs
UNPICKLERS = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib"}


def test_no_pickle_is_read_nothing_is_evaluated_and_no_shell_is_started():
    assert len(SOURCES) > 80
    for file in SOURCES:
        assert not UNPICKLERS & {name.partition(".")[0] for name in imports(file)}, file
        for name, call in calls(file):
            assert file == SANDBOXED or not RUNS_CODE.search(name), f"{file}:{call.lineno}: {name}"
            shells = [key.value for key in call.keywords if key.arg == "shell"]
            assert not shells, f"{file}:{call.lineno}: shell="


def test_the_check_for_code_of_others_would_find_some(tmp_path):
    file = tmp_path / "bad.py"
    file.write_text("import torch, yaml, os\ntorch.load(f)\nyaml.load(f)\nos.system(x)\neval(x)\n")
    assert len([name for name, _ in calls(file) if RUNS_CODE.search(name)]) == 4
    assert "torch" in list(imports(file))


def test_no_model_brings_code_of_its_own():
    for file in SOURCES:
        for name, call in calls(file):
            given = {key.arg: key.value for key in call.keywords}
            trust = given.get("trust_remote_code")
            assert trust is None or ast.unparse(trust) == "False", f"{file}:{call.lineno}"
            if name.endswith("ForCausalLM.from_pretrained"):
                assert ast.unparse(given["use_safetensors"]) == "True", f"{file}:{call.lineno}"


def test_a_yaml_file_that_asks_for_an_object_is_refused(mine: Path):
    file = mine / "model" / "small.yaml"
    file.write_text("!!python/object/apply:os.system [touch owned]\n")
    with pytest.raises(ConfigError, match=r"small\.yaml"):
        read(valid_configuration(), mine)
    assert not Path("owned").exists()


def test_a_config_yaml_of_a_run_that_asks_for_an_object_is_refused(tmp_path, capsys):
    command = Command(tmp_path, capsys)
    record = tmp_path / "test" / "config.yaml"
    record.parent.mkdir()
    record.write_text("identity: !!python/object/apply:os.system [touch owned]\n")
    with pytest.raises(ConfigError, match=r"config\.yaml cannot be read"):
        command("plan")
