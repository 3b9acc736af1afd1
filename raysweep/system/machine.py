"""What this machine has for actors: CPUs and memory, within its container's limits."""

import math
import os
import re
from pathlib import Path

# Instruction sets that multiply bf16 numbers: of x86, of x86 with tiles, and of Arm.
BF16_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def affordable_actors(tasks: int, actor_bytes: int) -> int:
    """The number of actors that CPUs and memory allow, but at least 1 and at most one per task.

    actor_bytes  memory of the largest actor
    """
    return max(1, min(usable_cpus(), tasks, available_bytes() // actor_bytes))


def bytes_per_multiplied_number() -> int:
    """Bytes of a number as the torch engine's layers multiply it on this CPU: 2 (bf16) or 4."""
    return 2 if multiplies_bf16() else 4


def usable_cpus() -> int:
    """The number of CPUs that this process may use, by its affinity and its container's quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        granted = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # the file is missing, or the quota is "max"
        return cpus or 1
    return max(1, min(cpus or 1, granted))


def available_bytes() -> int:
    """Memory that is free without swapping, within the container's limit. 2^62 if it is unknown."""
    free = [2**62]
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", MEMINFO.read_text())
        free += [int(found[1]) * 1024] if found else []
        limit = int((CGROUP / "memory.max").read_text())
        used = re.search(r"^anon (\d+)", (CGROUP / "memory.stat").read_text(), re.MULTILINE)
        # Pages of files do not count as used, because the kernel frees them when needed.
        free += [limit - int(used[1])] if used else []
    except (OSError, ValueError):  # the file is missing, or the limit is "max"
        pass
    return min(free)


def multiplies_bf16() -> bool:
    """Whether this machine's CPU multiplies bf16 numbers natively."""
    return any(map(cpu_has, BF16_FLAGS))


def cpu_has(flag: str) -> bool:
    """Whether this machine's CPU has an instruction set, named as in Linux (`avx512f`)."""
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return False
    return found is not None and flag in found[1].split()
