"""What the GPU kernels need of a GPU: registers, spilled registers, shared memory, and so their occupancy.

    python -m benchmarks.kernel_resources         a table of the kernels
    python -m benchmarks.kernel_resources --json  all that was compiled

No GPU is needed. Triton compiles what the torch engine launches for Qwen3-8B, for four targets, and NVIDIA's
cuobjdump, which comes with Triton, reads the result. All variants are compiled for H100. The one of each
kernel that takes the most registers there is compiled for the others too. That takes a minute, and less when Triton
finds them in its cache.
"""

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import groupby
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from triton import knobs
from triton.backends.compiler import GPUTarget
from triton.runtime import driver

from benchmarks.meta_engine import compact_rows, decode, kernels_on_meta
from benchmarks.recorded_launches import Launch, recorded
from docs.generate import markdown
from raysweep import catalogue
from raysweep.spec import WeightSpec

POLICIES = (
    "full",
    "streaming_llm-4096",
    "r_kv-4096",
    "h2o-128",
    "quantized-8",
    "quantized-4",
    "quantized-2",
    "kivi-4",
    "symmetric-4",
    "r_kv-4096_quantized-4",
)
PRECISIONS = [
    WeightSpec("gptq", bits, 128, act_order=act_order)
    for bits in (8, 4, 3)
    for act_order in (False, True)
]
ROWS = (16, 128)
WARP = 32  # threads
KB = 1024


@dataclass(frozen=True)
class Target:
    """What blocks share on a multiprocessor, from the tables of the CUDA programming guide.

    shared, most_shared  bytes of shared memory per multiprocessor, and the most that a block may take
    """

    name: str
    shared: int
    most_shared: int
    warps: int
    blocks: int
    registers: int = 65_536


TARGETS = {
    80: Target("A100", 164 * KB, 163 * KB, 64, 32),
    89: Target("L40S, RTX 4090", 100 * KB, 99 * KB, 48, 24),
    90: Target("H100", 228 * KB, 227 * KB, 64, 32),
    100: Target("B200", 228 * KB, 227 * KB, 64, 32),
}
MAIN = 90
RESERVED = KB  # shared memory of each block that the system takes
REGISTERS_AT_ONCE = 256  # a warp's registers come in multiples of this


@dataclass(frozen=True)
class Compiled:
    """A kernel, compiled.

    file       in actors/kernels, without its ending
    case       what launches it
    target     the compute capability, as 90 for 9.0
    registers  per thread
    spilled    bytes of a thread's registers that lie in memory
    shared     bytes of shared memory per block
    """

    file: str
    kernel: str
    case: str
    target: int
    warps: int
    registers: int
    spilled: int
    shared: int

    @property
    def occupancy(self) -> float:
        """The share of a multiprocessor's warps that can be in flight."""
        target = TARGETS[self.target]
        of_warp = -(-self.registers * WARP // REGISTERS_AT_ONCE) * REGISTERS_AT_ONCE
        blocks = min(
            target.registers // (of_warp * self.warps),
            target.shared // (self.shared + RESERVED),
            target.warps // self.warps,
            target.blocks,
        )
        return blocks * self.warps / target.warps


class NoGpu:
    """Stands for Triton's driver. Each target is a device of its own, because Triton keeps kernels by device."""

    def __init__(self, capability: int):
        self.capability = capability

    def get_current_device(self) -> int:
        return self.capability

    def get_current_stream(self, device: int) -> int:
        return 0

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.capability, WARP)


def launches() -> Iterator[tuple[str, Launch]]:
    """What the engine launches for Qwen3-8B, with the name of the case."""
    policies = {name: catalogue.kv_policy(name) for name in POLICIES}
    cases = {name: partial(decode, policy, ROWS[0]) for name, policy in policies.items()}
    cases |= {f"{n}, compaction": partial(compact_rows, p, 2) for n, p in policies.items()}
    for weights in PRECISIONS:
        for rows in ROWS:
            name = f"{weights.slug}, {rows} rows"
            cases[name] = partial(decode, policies["full"], rows, weights)
    for name, run in cases.items():
        with kernels_on_meta(), recorded() as made:
            run()
        yield from ((name, launch) for launch in made)


def compiled() -> Iterator[Compiled]:
    """All distinct kernels, in order of their files."""
    mine = sorted(launches(), key=lambda case: (case[1].file, case[1].name))
    for _, group in groupby(mine, key=lambda case: (case[1].file, case[1].name)):
        cases = list(group)
        measured = distinct(cases, MAIN)
        yield from measured.values()
        worst = max(measured, key=lambda number: measured[number].registers)
        for capability in TARGETS.keys() - {MAIN}:
            yield from distinct([cases[worst]], capability).values()


def distinct(cases: Iterable[tuple[str, Launch]], capability: int) -> dict[int, Compiled]:
    """The kernels into which these launches are compiled, each by the number of its first launch."""
    found: dict[int, Compiled] = {}
    hashes = set()
    for number, (case, launch) in enumerate(cases):
        kernel = compile_for(capability, launch)
        if kernel.hash not in hashes:
            hashes.add(kernel.hash)
            registers, spilled = usage(kernel.asm["cubin"])
            found[number] = Compiled(
                launch.file, launch.name, case, capability, kernel.metadata.num_warps,
                registers, spilled, kernel.metadata.shared,
            )  # fmt: skip
    return found


def compile_for(capability: int, launch: Launch) -> Any:
    """The kernel as Triton would compile it at this launch, by its own rules for types and alignment."""
    stand_in: Any = NoGpu(capability)
    driver.set_active(stand_in)
    return launch.kernel.warmup(*launch.arguments, grid=launch.grid, **launch.constants)


def usage(cubin: bytes) -> tuple[int, int]:
    """Registers per thread, and bytes of a thread's memory."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        command = [knobs.nvidia.cuobjdump.path, "--dump-resource-usage", str(file)]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    numbers = {name: int(value) for name, value in re.findall(r"\b(REG|STACK|LOCAL):(\d+)", said)}
    return numbers["REG"], numbers["STACK"] + numbers["LOCAL"]


def table(all_compiled: Iterable[Compiled]) -> str:
    """Of each kernel, the variant with the most registers."""
    rows: dict[tuple[str, str], dict[int, Compiled]] = {}
    for each in all_compiled:
        own = rows.setdefault((each.file, each.kernel), {})
        if each.target not in own or each.registers > own[each.target].registers:
            own[each.target] = each
    head = ("kernel", *(f"{target.name} (sm_{number})" for number, target in TARGETS.items()))
    return markdown(
        head, [(f"`{file}`", *map(said, map(own.get, TARGETS))) for (file, _), own in rows.items()]
    )


def said(each: Compiled | None) -> str:
    assert each is not None
    return f"{each.registers}, {each.shared / KB:.0f} KB, {each.occupancy:.0%}"


def main(arguments: list[str]) -> None:
    if arguments == ["--json"]:
        print(json.dumps([asdict(each) for each in compiled()]))
    else:
        print(table(compiled()))


if __name__ == "__main__":
    main(sys.argv[1:])
