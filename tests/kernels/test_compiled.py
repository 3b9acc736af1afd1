"""The kernels that the engine launches for Qwen3-8B, compiled for each kind of GPU, without one.

`benchmarks.kernel_resources` compiles all variants for H100, and for the other GPUs the one of each kernel
that takes the most registers there. That is a minute of CPU, where all variants for all GPUs would be two.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu_targets import MAIN, TARGETS, Compiled, table

ROOT = Path(__file__).parents[2]
LAUNCHED = re.compile(r"launching\.launch\(\s*(\w+)")

by_target = pytest.mark.parametrize("target", TARGETS, ids=lambda target: f"sm_{target}")


@pytest.fixture(scope="module")
def compiled() -> list[Compiled]:
    """In a process of its own, because kernels are interpreted in this one."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.kernel_resources", "--json"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    return [Compiled(**each) for each in json.loads(done.stdout)]


def kernels_that_are_launched() -> set[tuple[str, str]]:
    """By file, as the files of actors/kernels say it."""
    files = (ROOT / "actors/kernels").glob("*.py")
    return {(file.stem, name) for file in files for name in LAUNCHED.findall(file.read_text())}


@pytest.mark.slow
@by_target
def test_every_kernel_compiles(compiled, target):
    found = {(each.file, each.kernel) for each in compiled if each.target == target}
    assert found == kernels_that_are_launched()


@pytest.mark.slow
@by_target
def test_no_kernel_spills_registers(compiled, target):
    assert [each for each in compiled if each.target == target and each.spilled] == []


@pytest.mark.slow
@by_target
def test_no_kernel_takes_more_shared_memory_than_a_block_may(compiled, target):
    most = TARGETS[target].most_shared
    assert [each for each in compiled if each.target == target and each.shared > most] == []


@pytest.mark.slow
def test_the_table_in_the_documentation_is_up_to_date(compiled):
    page = (ROOT / "docs/performance.md").read_text()
    assert table(compiled) in page, "write there what python -m benchmarks.kernel_resources prints"


@pytest.mark.parametrize(
    ("registers", "warps", "shared", "target", "in_flight"),
    [
        (64, 8, 0, 80, 32),  # 64 * 32 * 8 registers a block, of 65,536
        (65, 8, 0, 80, 24),  # a warp's registers are rounded up to 2,304
        (32, 4, 0, 80, 64),
        (32, 4, 0, 89, 48),
        (32, 1, 0, 80, 32),  # blocks are too few
        (32, 1, 0, 89, 24),
        (32, 4, 73_000, MAIN, 12),  # three blocks' shared memory
        (32, 4, 99 * 1024, 89, 4),
    ],
)
def test_occupancy_is_what_the_scarcest_resource_allows(
    registers, warps, shared, target, in_flight
):
    kernel = Compiled("file", "kernel", "case", target, warps, registers, 0, shared)
    assert kernel.occupancy * TARGETS[target].warps == in_flight
