"""What a node of the cluster says of itself before the first actor, as the driver keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class GpuReport:
    """A GPU by its driver: `memory_bytes` in all, and `free_bytes` that no process uses; 0 if unknown."""

    name: str
    memory_bytes: int
    free_bytes: int


@dataclass(frozen=True)
class NodeReport:
    """A node's answers.

    node             its address and the first letters of its id in Ray
    clock_s          its clock, in seconds since 1970
    code             a hash of raysweep's code there; "" where it has none
    versions         of Python and of the packages that can change a result
    cuda             the version of CUDA for which its torch was built; "" if for none
    driver           the version of NVIDIA's driver; "" without one
    driver_cuda      the newest version of CUDA that the driver runs, with what makes it newer; "" if unknown
    bubblewrap       whether programs can be graded there
    compiler         whether there is a C compiler, which Triton's kernels need
    free_disk_bytes  below the folder for temporary files
    problems         what it lacks, and cannot import, read or write
    """

    node: str
    host: str
    clock_s: float
    code: str
    versions: Mapping[str, str]
    cuda: str
    driver: str
    driver_cuda: str
    gpus: tuple[GpuReport, ...]
    bubblewrap: bool
    compiler: bool
    free_disk_bytes: int
    problems: tuple[str, ...]


def node_report(node: str, answers: Mapping[str, Any]) -> NodeReport:
    """The report that a node's plain answers make."""
    return NodeReport(
        **{
            **answers,
            "node": node,
            "gpus": tuple(GpuReport(**gpu) for gpu in answers["gpus"]),
            "problems": tuple(answers["problems"]),
        }
    )
