"""The GPUs that kernels are compiled for, what a compiled kernel takes of one, and so its occupancy."""

from collections.abc import Iterable
from dataclasses import dataclass

from docs.generate import markdown

WARP = 32  # threads
KB = 1024
RESERVED = KB  # shared memory of each block that the system takes
TOGETHER = 256  # a warp's registers come in multiples of this


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


# By compute capability, as 90 for 9.0.
TARGETS = {
    80: Target("A100", 164 * KB, 163 * KB, 64, 32),
    89: Target("L40S", 100 * KB, 99 * KB, 48, 24),
    90: Target("H100", 228 * KB, 227 * KB, 64, 32),
    100: Target("B200", 228 * KB, 227 * KB, 64, 32),
}
MAIN = 90  # the one that kernels are written for


@dataclass(frozen=True)
class Compiled:
    """A kernel, compiled.

    file       in actors/kernels, without its ending
    case       what launches it
    target     of TARGETS
    warps      per block
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
        of_warp = -(-self.registers * WARP // TOGETHER) * TOGETHER
        blocks = min(
            target.registers // (of_warp * self.warps),
            target.shared // (self.shared + RESERVED),
            target.warps // self.warps,
            target.blocks,
        )
        return blocks * self.warps / target.warps


def table(kernels: Iterable[Compiled]) -> str:
    """Of each kernel and target, the variant with the most registers."""
    largest: dict[str, dict[int, Compiled]] = {}
    for each in sorted(kernels, key=lambda each: (each.file, each.registers)):
        largest.setdefault(each.file, {})[each.target] = each
    head = ("kernel", *(f"{target.name}, sm_{number}" for number, target in TARGETS.items()))
    rows = [(f"`{file}`", *(cell(own[t]) for t in TARGETS)) for file, own in largest.items()]
    return markdown(head, rows)


def cell(kernel: Compiled) -> str:
    return f"{kernel.registers}, {kernel.shared / KB:.0f} KB, {kernel.occupancy:.0%}"
