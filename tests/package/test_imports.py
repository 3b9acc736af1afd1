"""The import rules, and that the command line does not load modules that it may never need."""

import subprocess
import sys
from pathlib import Path

import pytest
from importlinter.cli import lint_imports

HEAVY = {"torch", "transformers", "vllm", "ray", "pandas", "pyarrow", "matplotlib", "sympy"}
HEAVY |= {"huggingface_hub", "jinja2", "tokenizers"}
ROOT = Path(__file__).parents[2]


def test_the_import_contracts_hold(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(ROOT)
    assert lint_imports(no_cache=True) == 0


@pytest.mark.parametrize(
    "module", ["raysweep", "raysweep.configuration.config", "raysweep.__main__"]
)
def test_a_configuration_is_validated_without_loading_anything_heavy(module: str):
    program = f"import sys, {module}; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())


def test_policies_are_asked_for_their_bytes_without_a_tensor_library():
    program = """
import sys
from raysweep.kv_policy import METHODS, load_method
policies = [load_method(method) for method in METHODS]
policies[2](budget=64).held(100), policies[-1](bits=4).reserved(1000)
print(*sys.modules)
"""
    command = [sys.executable, "-c", program]
    loaded = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not HEAVY & set(loaded.split())
