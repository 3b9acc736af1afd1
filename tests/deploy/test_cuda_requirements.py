"""What an actor imports on a GPU is pinned in the lock file that its environment is made from.

Imports are read off the source, lazy ones included, so that no GPU and no such environment is needed.
"""

import ast
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements" / "vllm-cuda.txt"
OWN = ("actors", "raysweep")
# Policies and graders are loaded by name, so their rooms are roots too.
ROOTS = [
    *("actors/torch_engine", "actors/kv_cache", "actors/kv", "actors/kernels"),
    *("actors/engine_actor.py", "raysweep/grading"),
]
# They quantise checkpoints, on a machine of their own (`actors/quantize.py`), and run none.
QUANTISERS = {"optimum", "accelerate", "gptqmodel"}


def normal(distribution: str) -> str:
    """A distribution's name as PEP 503 compares it."""
    return re.sub(r"[-_.]+", "-", distribution).lower()


def pinned() -> set[str]:
    """The names of the lock file's distributions."""
    found = re.findall(r"^([A-Za-z0-9._-]+)==", LOCK.read_text(), re.MULTILINE)
    return set(map(normal, found))


@cache
def imported(file: Path) -> frozenset[str]:
    """The modules that a file imports anywhere, and for `from a import b` both `a` and `a.b`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0 and node.module, f"{file}: a relative import"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(found)


def files_of(module: str) -> Iterator[Path]:
    """The files that importing a module of the project runs: its own, and those of its packages."""
    parts = module.split(".")
    for count in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:count])
        yield from (
            file for file in (path / "__init__.py", path.with_suffix(".py")) if file.exists()
        )


def reached() -> dict[str, Path]:
    """The third-party modules that the roots reach, each with one of the files that import it."""
    waiting = [
        file
        for root in ROOTS
        for path in [ROOT / root]
        for file in ([path] if path.is_file() else path.rglob("*.py"))
    ]
    seen: set[Path] = set()
    found: dict[str, Path] = {}
    while waiting:
        file = waiting.pop()
        if file in seen:
            continue
        seen.add(file)
        for module in imported(file):
            top = module.partition(".")[0]
            if top in OWN:
                waiting += files_of(module)
            elif top not in sys.stdlib_module_names:
                found.setdefault(top, file.relative_to(ROOT))
    return found


def test_each_module_that_a_gpu_actor_imports_is_pinned():
    distributions, lock = packages_distributions(), pinned()
    missing = {
        module: str(file)
        for module, file in reached().items()
        if not lock & set(map(normal, distributions.get(module, [module])))
    }
    assert missing == {}


def test_a_gpu_actor_needs_torch_and_nothing_that_quantises():
    modules = set(reached())
    assert {"torch", "vllm"} <= modules
    assert not QUANTISERS & modules
