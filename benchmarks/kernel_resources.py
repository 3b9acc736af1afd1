"""What the GPU kernels take of a GPU: registers, spilled registers, shared memory, and so their occupancy.

    python -m benchmarks.kernel_resources         the table in docs/performance.md
    python -m benchmarks.kernel_resources --json  all that was compiled

No GPU is needed. Triton compiles what the engine launches (see `kernel_launches`), and NVIDIA's cuobjdump,
which comes with Triton, reads the result. All variants are compiled for H100. The one of each kernel that
takes the most registers there is compiled for the other GPUs too. That takes a minute of CPU, and less when
Triton finds them in its cache.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from benchmarks.gpu_targets import MAIN, TARGETS, WARP, Compiled, table
from benchmarks.kernel_launches import launches
from benchmarks.recorded_launches import Launch


class NoGpu:
    """Stands for Triton's driver of a GPU.

    Each target is a device of its own, because Triton keeps kernels by device.
    """

    def __init__(self, capability: int):
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, WARP)


def compiled() -> Iterator[Compiled]:
    """All distinct kernels, in order of their files."""

    def kernel_of(case: tuple[str, Launch]) -> tuple[str, str]:
        return case[1].file, case[1].name

    for _, own in groupby(sorted(launches(), key=kernel_of), kernel_of):
        cases = list(own)
        measured = distinct(cases, MAIN)
        yield from measured.values()
        largest = max(measured, key=lambda number: measured[number].registers)
        for capability in TARGETS:
            if capability != MAIN:
                yield from distinct([cases[largest]], capability).values()


def distinct(cases: Iterable[tuple[str, Launch]], capability: int) -> dict[int, Compiled]:
    """The kernels into which these launches are compiled, each by the number of its first launch."""
    found: dict[int, Compiled] = {}
    hashes: set[str] = set()
    for number, (case, launch) in enumerate(cases):
        kernel = compile_for(capability, launch)
        if kernel.hash in hashes:
            continue
        hashes.add(kernel.hash)
        warps, shared = kernel.metadata.num_warps, kernel.metadata.shared
        registers, spilled = usage(kernel.asm["cubin"])
        found[number] = Compiled(
            launch.file, launch.name, case, capability, warps, registers, spilled, shared
        )
    return found


def compile_for(capability: int, launch: Launch) -> Any:
    """The kernel as Triton would compile it at this launch, by its own rules for types and alignment."""
    stand_in: Any = NoGpu(capability)
    driver.set_active(stand_in)
    return launch.kernel.warmup(*launch.arguments, grid=launch.grid, **launch.constants)


def usage(cubin: bytes) -> tuple[int, int]:
    """Registers of a thread, and bytes of its own memory, which it has only for what it spills."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(file)]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    numbers = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", said)}
    return numbers["REG"], numbers["STACK"] + numbers["LOCAL"]


def main(arguments: list[str]) -> None:
    if arguments == ["--json"]:
        print(json.dumps([asdict(each) for each in compiled()]))
    else:
        print(table(compiled()))


if __name__ == "__main__":
    main(sys.argv[1:])
