"""What a task that makes a checkpoint asks Ray for: a GPU that holds a layer, host memory, CPUs.

Ray waits in silence for what no node has. So a task is only submitted if a live node can hold it. Where an
autoscaler may add nodes nobody knows their memory, so there none is asked for.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ray

from raysweep.driver.ray_nodes import TYPE_LABEL, live_nodes
from raysweep.planning.quantising import Work
from raysweep.run_config import Cluster, Gpu
from raysweep.system.quantities import human_bytes

# gptqmodel packs and saves on the CPU, and more threads than this hardly help.
MOST_CPUS = 16


@dataclass(frozen=True)
class Host:
    """A live node: CPUs, GPUs of one kind ("" if unknown or none), and the memory that Ray gives out."""

    cpus: float
    gpus: int
    kind: str
    memory_bytes: float


@dataclass(frozen=True)
class Ask:
    """What a task asks Ray for. `memory_bytes` 0: nothing is asked, as any node may come."""

    cpus: float
    gpus: float
    memory_bytes: int
    kind: str = ""

    @property
    def options(self) -> dict[str, Any]:
        asked: dict[str, Any] = {"num_cpus": self.cpus, "num_gpus": self.gpus}
        if self.memory_bytes:
            asked["memory"] = self.memory_bytes
        if self.kind:
            asked["label_selector"] = {TYPE_LABEL: self.kind}
        return asked


def hosts(cluster: Cluster) -> tuple[Host, ...]:
    """The live nodes with their memory."""
    memory = {node["NodeID"]: node["Resources"].get("memory", 0.0) for node in ray.nodes()}
    return tuple(
        Host(node.cpus, node.gpus, node.kind, memory[node.node_id]) for node in live_nodes(cluster)
    )


def ask_of(work: Work, gpu: Gpu | None, cluster: Cluster, alive: Sequence[Host]) -> Ask | str:
    """What the task asks for, or in a few words why no live node can hold it.

    gpu  the kind on which it is to run; None for a CPU, or for GPUs of an unknown kind
    """
    gpus = min(1.0, cluster.gpus_per_actor or 1.0) if cluster.on_gpus else 0.0
    memory_bytes = work.host_bytes(cluster.on_gpus)
    # With one kind of GPU the nodes need no label.
    kind = gpu.accelerator_type if gpu is not None and len(cluster.pools) > 1 else ""
    able = [
        host
        for host in alive
        if host.gpus >= gpus
        and host.cpus >= cluster.cpus_per_actor
        and kind in ("", host.kind)
        and host.memory_bytes >= memory_bytes
    ]
    if able:
        # A node's GPUs share its CPUs.
        each = min(host.cpus // max(1, host.gpus if gpus else 1) for host in able)
        cpus = max(cluster.cpus_per_actor, min(MOST_CPUS, each))
        return Ask(cpus, gpus, 0 if cluster.autoscaling else memory_bytes, kind)
    if cluster.autoscaling:
        return Ask(cluster.cpus_per_actor, gpus, 0, kind)
    needed = f"{cluster.cpus_per_actor:g} CPUs, {gpus:g} {kind}".rstrip() + " GPUs"
    have = "; ".join(
        f"{host.cpus:g} CPUs, {host.gpus} GPUs, {human_bytes(host.memory_bytes)}" for host in alive
    )
    return (
        f"no Ray node has {needed} and {human_bytes(memory_bytes)} of memory; the nodes have "
        f"{have or 'nothing'}; take a larger node, fewer calibration texts, or published files"
    )
