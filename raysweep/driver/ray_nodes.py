"""The nodes of a Ray cluster as the scheduler sees them, and how more of them are asked for."""

from collections.abc import Iterable, Sequence

import ray
from ray.autoscaler.sdk import request_resources

from raysweep.errors import ConfigError
from raysweep.planning.gpu_options import Need
from raysweep.planning.jobs import Job
from raysweep.run_config import Cluster
from raysweep.scheduling.nodes import Node, could

TYPE_LABEL = "ray.io/accelerator-type"  # Ray gives it to nodes with GPUs that it knows


def live_nodes(cluster: Cluster) -> tuple[Node, ...]:
    """The nodes that are alive. A node without a label has the only kind of GPU that the cluster names."""
    types = [pool.gpu.accelerator_type for pool in cluster.pools]
    unlabelled = types[0] if len(types) == 1 else ""
    nodes = []
    for node in sorted(ray.nodes(), key=lambda node: node["NodeID"]):
        resources = node["Resources"]
        gpus = int(resources.get("GPU", 0))
        kind = (node.get("Labels") or {}).get(TYPE_LABEL) or unlabelled
        if node["Alive"]:
            cpus = float(resources.get("CPU", 0))
            nodes.append(Node(node["NodeID"], cpus, gpus, kind if gpus else ""))
    return tuple(nodes)


def check_room(jobs: Iterable[Job], nodes: Sequence[Node], cluster: Cluster) -> None:
    """Raise if an engine has no node that can ever hold it, for which Ray would wait without a word."""
    if cluster.autoscaling:
        return
    for job in jobs:
        if any(could(node, option.need) for option in job.options for node in nodes):
            continue
        needs = " or ".join(in_words(option.need) for option in job.options)
        there = "; ".join(sorted({in_words(Need(n.cpus, n.gpus, n.kind)) for n in nodes}))
        raise ConfigError(
            f"cluster: no Ray node has the {needs} of an actor of {job.engine.engine_id}; there are nodes "
            f"of {there or 'nothing'}; change cluster.cpus_per_actor, cluster.gpus_per_actor or "
            "cluster.gpu, or give the cluster.address of a larger Ray"
        )


def in_words(need: Need) -> str:
    return f"{need.cpus:g} CPUs and {need.gpus:g} {need.kind}".rstrip() + " GPUs"


def announce(needs: Sequence[Need]) -> None:
    """Tell the autoscaler what there is work for; it keeps nodes for just that, until it is told anew."""
    request_resources(
        bundles=[bundle(need) for need in needs],
        bundle_label_selectors=[{TYPE_LABEL: need.kind} if need.kind else {} for need in needs],
    )


def bundle(need: Need) -> dict[str, float]:
    return {"CPU": need.cpus, **({"GPU": need.gpus} if need.gpus else {})}
