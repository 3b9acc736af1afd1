"""Where and until when a part of the check runs. Importing this imports no tensor library."""

import math
import re
from dataclasses import dataclass, replace

from raysweep import catalogue
from raysweep.run_config import Gpu

ALIKE = (
    0.1  # two amounts of memory that differ by no more than this share are those of one kind of GPU
)
# In a dry run plans are made for this GPU.
NO_GPU = Gpu("none", 24 * 2**30, 1e9, 1e12)


class NoGPUError(Exception):
    """There is no GPU that torch can use."""


@dataclass(frozen=True)
class Setting:
    """What all parts know.

    dry            whether kernels are interpreted on a CPU, in tiny shapes; then times mean nothing
    gpu            the GPU, by its data sheet, or by measurement if raysweep does not know its kind
    copy_bytes_s   bytes that a large copy on the device reads and writes per second
    deadline       the end of the part, in the time of `time.monotonic`
    """

    dry: bool
    gpu: Gpu
    copy_bytes_s: float
    deadline: float = math.inf

    def until(self, deadline: float) -> "Setting":
        return replace(self, deadline=deadline)


def known_gpu(name: str, memory_bytes: int) -> Gpu | None:
    """The kind of GPU that a driver calls by this name; None if raysweep does not know it.

    A part of a GPU has another memory than the whole, and so is of no known kind.

    >>> known_gpu("NVIDIA A100-SXM4-80GB", 80 * 2**30).name
    'a100-80'
    >>> known_gpu("NVIDIA H100 80GB HBM3 MIG 3g.40gb", 40 * 2**30)
    """
    words = re.split(r"[^A-Za-z0-9]+", name.upper())
    for kind in map(catalogue.gpu, catalogue.names("gpu")):
        named = kind.accelerator_type.upper().split("-")
        found = any(words[at : at + len(named)] == named for at in range(len(words)))
        if found and abs(memory_bytes / kind.memory_bytes - 1) <= ALIKE:
            return kind
    return None
