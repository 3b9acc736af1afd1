"""How many instructions attention over packed slots takes per number, and how many an H100 has time for.

    python -m benchmarks.packed_instructions                   of all layouts
    python -m benchmarks.packed_instructions "kivi, 4 bits"    of some

No GPU is needed. The kernel of Qwen3-8B is compiled for H100 in each layout, and NVIDIA's cuobjdump lists its
instructions. Counted are those of the loop over tokens, times the threads of a program, by the keys and
values that an iteration takes. While a GPU reads a number's bytes, it can issue so many of them:

    bytes per number * multiprocessors * 4 * 32 * clock / bandwidth

If the kernel has more, they take longer than the memory does. If it has fewer, they may still: no
multiprocessor issues an instruction in each cycle.
"""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from triton import knobs

from actors.kv.quantized import Quantized
from benchmarks.gpu_targets import MAIN, WARP
from benchmarks.kernel_resources import compile_for
from benchmarks.meta_engine import QWEN3_8B, decoding, kernels_on_meta
from benchmarks.recorded_launches import Launch, recorded
from docs.generate import markdown
from raysweep.memory import packed_bytes

# NVIDIA's numbers for an H100 with SXM: instructions of a thread per second, and bytes per second
ISSUED = 132 * 4 * WARP * 1.755e9
BANDWIDTH = 3.35e12

POLICIES = {
    f"{name}, {bits} bits": Quantized(bits, **options)
    for name, options in {
        "hqq along channels": {},
        "hqq along tokens": {"axis": 1},
        "kivi": {"layout": "kivi"},
        "symmetric": {"layout": "symmetric"},
    }.items()
    for bits in (2, 4, 8)
}

KINDS = {
    "tensor cores": "HMMA|HGMMA|WARPGROUP",
    "shared memory": "LDS|LDSM|STS|STSM|MOVM|SHFL|BAR|LDGSTS|LDGDEPBAR|DEPBAR",
    "logic": "LOP3|SHF|PRMT|SEL|SGXT|BMSK|PLOP3",
    "conversions": "I2F|I2FP|F2I|F2F|F2FP",
    "32-bit numbers": "FADD|FMUL|FFMA|FMNMX|FSEL|FSETP|MUFU|HADD2|HMUL2|HFMA2",
    "addresses": "IMAD|IADD3|LEA|MOV|ISETP|VIADD|LDG|STG|LDC|ULDC",
}  # the rest is control

LINE = re.compile(r"/\*([0-9a-f]{4,})\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_]+)([^;]*);")


@dataclass(frozen=True)
class Loop:
    """The instructions of a kernel's loop over tokens.

    numbers  the keys and values that an iteration takes
    kinds    instructions of a thread per number, by KINDS
    """

    numbers: int
    kinds: dict[str, float]

    @property
    def instructions(self) -> float:
        return sum(self.kinds.values())


def counted(policy: Quantized) -> Loop:
    launch = launch_of(policy)
    kernel = compile_for(MAIN, launch)
    tokens = launch.constants["TILE"] * launch.constants["WARPS"]
    numbers = 2 * tokens * launch.constants["HEAD_DIM"]
    opcodes = Counter(loop_of(listing(kernel.asm["cubin"])))
    threads = kernel.metadata.num_warps * WARP
    kinds = dict.fromkeys([*KINDS, "control"], 0.0)
    for opcode, times in opcodes.items():
        kinds[kind_of(opcode)] += times * threads / numbers
    return Loop(numbers, kinds)


def kind_of(opcode: str) -> str:
    return next(
        (kind for kind, names in KINDS.items() if re.fullmatch(f"U?({names})", opcode)), "control"
    )


def launch_of(policy: Quantized) -> Launch:
    """That of a step of decoding."""
    with kernels_on_meta():
        step = decoding(policy, rows=16)
        with recorded() as made:
            step()
    return next(launch for launch in made if launch.file == "packed_attention")


def listing(cubin: bytes) -> str:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "kernel.cubin"
        file.write_bytes(cubin)
        command = [knobs.nvidia.cuobjdump.path, "-sass", str(file)]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def loop_of(sass: str) -> list[str]:
    """The opcodes of the longest loop: from where a branch goes back to, to the branch."""
    lines = [(int(at, 16), opcode, rest) for at, opcode, rest in LINE.findall(sass)]
    loops = [
        [opcode for at, opcode, _ in lines if int(target[1], 16) <= at <= end]
        for end, opcode, rest in lines
        if opcode == "BRA" and (target := re.search(r"0x([0-9a-f]+)", rest))
        if int(target[1], 16) < end
    ]
    return max(loops, key=len)


def row(name: str, policy: Quantized) -> tuple[str, ...]:
    head_dim, tokens = QWEN3_8B.head_dim, 100 * policy.group_size
    size = packed_bytes(policy.packing, tokens, head_dim) / (2 * tokens * head_dim)
    loop = counted(policy)
    share = loop.instructions / (size * ISSUED / BANDWIDTH)
    kinds = (f"{each:.2f}" for each in loop.kinds.values())
    return name, f"{size:.3f}", f"{loop.instructions:.2f}", *kinds, f"{share:.0%}"


def main(names: list[str]) -> None:
    head = (
        "layout",
        "bytes per number",
        "instructions",
        *KINDS,
        "control",
        "of the time to read it",
    )
    print(markdown(head, [row(name, POLICIES[name]) for name in names or POLICIES]))


if __name__ == "__main__":
    main(sys.argv[1:])
