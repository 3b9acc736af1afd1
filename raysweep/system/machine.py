"""What this machine can give to actors: CPUs and memory, within its container's limits."""

import math
import os
import re
from pathlib import Path

ACTOR_BYTES = 1_000_000_000  # torch, an engine of the embedded family, and its samples

CPUINFO = Path("/proc/cpuinfo")
CGROUP = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")


def affordable_actors(shards: int) -> int:
    """As many actors as CPUs and memory allow, and no more than there are shards."""
    return max(1, min(usable_cpus(), shards, available_bytes() // ACTOR_BYTES))


def usable_cpus() -> int:
    """CPUs that this process may use: its affinity, within its container's quota."""
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        quota, period = (CGROUP / "cpu.max").read_text().split()
        granted = math.ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or the quota is "max"
        return cpus or 1
    return max(1, min(cpus or 1, granted))


def available_bytes() -> int:
    """Memory that can be taken without swapping, within the container's limit; plenty if unknown."""
    free = [2**62]
    try:
        found = re.search(r"MemAvailable: +(\d+) kB", MEMINFO.read_text())
        free += [int(found[1]) * 1024] if found else []
        limit = int((CGROUP / "memory.max").read_text())
        used = re.search(r"^anon (\d+)", (CGROUP / "memory.stat").read_text(), re.MULTILINE)
        free += [limit - int(used[1])] if used else []  # file pages are given back when needed
    except (OSError, ValueError):  # no such file, or the limit is "max"
        pass
    return min(free)


def cpu_has(flag: str) -> bool:
    """Whether this machine's CPU has an instruction set, by Linux's name for it (`avx512f`)."""
    try:
        found = re.search(r"^flags\s*:(.*)$", CPUINFO.read_text(), re.MULTILINE)
    except OSError:
        return False
    return found is not None and flag in found[1].split()
