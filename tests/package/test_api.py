"""The interface for Python users is light and typed, and its examples are true."""

import doctest
import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import raysweep
from raysweep import catalogue
from raysweep.errors import ConfigError

ROOT = Path(__file__).parents[2]
API = ("memory", "metrics", "frontier", "catalogue")
HEAVY = {
    "ray",
    "torch",
    "transformers",
    "vllm",
    "pandas",
    "pyarrow",
    "matplotlib",
    "sympy",
    "hydra",
}


PUBLIC = {
    "memory": ("weights_bytes", "kv_bytes_per_token", "kv_bytes", "kv_peak_bytes"),
    "metrics": ("pass_at_k", "maj_at_k", "best_of_k"),
    "frontier": ("amortised_bytes", "largest_batch", "pareto", "p_on_frontier"),
}
KINDS = {
    "model": catalogue.model,
    "weights": catalogue.weights,
    "kv_policy": catalogue.kv_policy,
    "gpu": catalogue.gpu,
}


def python(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("name", API)
def test_a_module_imports_nothing_heavy(name: str):
    loaded = python(f"import sys, raysweep.{name}; print(*sys.modules)").split()
    assert not HEAVY & set(loaded)


def test_all_of_it_is_imported_in_under_a_second():
    modules = ", ".join(f"raysweep.{name}" for name in API)
    program = (
        f"import time; t = time.perf_counter(); import {modules}; print(time.perf_counter() - t)"
    )
    assert min(float(python(program)) for _ in range(3)) < 1


def test_the_modules_are_attributes_of_the_package():
    assert python("import raysweep; print(raysweep.metrics.pass_at_k(2, 1, 2))") == "1.0\n"
    with pytest.raises(AttributeError, match="no attribute 'metric'"):
        raysweep.metric  # noqa: B018


@pytest.mark.parametrize("name", API)
def test_the_examples_of_a_module_are_true(name: str):
    found = doctest.testmod(importlib.import_module(f"raysweep.{name}"))
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.slow
def test_the_examples_of_open_run_are_true(finished: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(finished)
    found = doctest.testmod(raysweep)
    assert found.attempted > 0
    assert found.failed == 0


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_function_that_computes_has_an_example(name: str):
    module = importlib.import_module(f"raysweep.{name}")
    public = [getattr(module, word) for word in PUBLIC[name]]
    assert all(">>>" in function.__doc__ for function in public)


@pytest.mark.parametrize("package", ["raysweep", "actors"])
def test_a_package_says_that_it_is_typed(package: str):
    assert (ROOT / package / "py.typed").is_file()


def test_every_shipped_definition_is_in_the_catalogue():
    for kind, read in KINDS.items():
        for name in catalogue.names(kind):
            assert read(name)


def test_definitions_of_a_folder_are_in_the_catalogue_too():
    own = ROOT / "tests/extension/conf"
    policy = catalogue.kv_policy("largest_keys-24", folders=[own])
    assert policy.held(1000).tokens == 24
    with pytest.raises(ConfigError, match="'qwen3-9b' is not a known model; did you mean"):
        catalogue.model("qwen3-9b")
