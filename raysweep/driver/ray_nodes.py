"""The nodes of a Ray cluster as the scheduler sees them, and the request for more of them."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import replace

import ray
from ray.autoscaler.sdk import request_resources

from raysweep.errors import ConfigError
from raysweep.planning.jobs import Job
from raysweep.planning.placements import Need
from raysweep.run_config import Cluster
from raysweep.scheduling.nodes import Node, could

# Ray sets this label on nodes whose kind of GPU it knows.
TYPE_LABEL = "ray.io/accelerator-type"


def live_nodes(cluster: Cluster) -> tuple[Node, ...]:
    """The live nodes. A node without a label has the configured kind of GPU, if there is only one."""
    types = [pool.gpu.accelerator_type for pool in cluster.pools]
    unlabelled = types[0] if len(types) == 1 else ""
    nodes = []
    for node in sorted(ray.nodes(), key=lambda node: node["NodeID"]):
        resources = node["Resources"]
        gpus = int(resources.get("GPU", 0))
        kind = (node.get("Labels") or {}).get(TYPE_LABEL) or unlabelled
        if node["Alive"]:
            cpus = float(resources.get("CPU", 0))
            kind, address = kind if gpus else "", node.get("NodeManagerAddress", "")
            nodes.append(Node(node["NodeID"], cpus, gpus, kind, address))
    return tuple(nodes)


def with_sizes_of(nodes: Sequence[Node], cluster: Cluster) -> Cluster:
    """The cluster with the kinds of GPU that its nodes have, and the most GPUs of a node of each.

    What an autoscaler may still add is left as it was configured.
    """
    if cluster.autoscaling:
        return cluster
    most: dict[str, int] = defaultdict(int)
    for node in nodes:
        most[node.kind] = max(most[node.kind], node.gpus)
    pools = tuple(
        replace(pool, per_node=min(pool.per_node or size, size))
        for pool in cluster.pools
        for size in [most[pool.gpu.accelerator_type]]
        if size
    )
    return replace(cluster, pools=pools or cluster.pools)


def check_room(jobs: Iterable[Job], nodes: Sequence[Node], cluster: Cluster) -> None:
    """Raise ConfigError if no node can ever hold an engine, since Ray would wait for one in silence."""
    if cluster.autoscaling:
        return
    for job in jobs:
        if any(could(node, option.need) for option in job.options for node in nodes):
            continue
        needs = " or ".join(need_text(option.need) for option in job.options)
        alive = "; ".join(sorted({need_text(Need(n.cpus, n.gpus, n.kind)) for n in nodes}))
        raise ConfigError(
            f"cluster: no Ray node has the {needs} that an actor of {job.engine.engine_id} needs; the "
            f"nodes have {alive or 'nothing'}; change cluster.cpus_per_actor, cluster.gpus_per_actor or "
            "cluster.gpu, or give the cluster.address of a larger Ray cluster"
        )


def need_text(need: Need) -> str:
    """A need in words, as in `1 CPUs and 0.5 L4 GPUs`."""
    return f"{need.cpus:g} CPUs and {need.gpus:g} {need.kind}".rstrip() + " GPUs"


def announce(needs: Sequence[Need]) -> None:
    """Tell the autoscaler which needs there are. It keeps nodes for just these until it is told again."""
    request_resources(
        bundles=[bundle(need) for need in needs],
        bundle_label_selectors=[{TYPE_LABEL: need.kind} if need.kind else {} for need in needs],
    )


def bundle(need: Need) -> dict[str, float]:
    return {"CPU": need.cpus, **({"GPU": need.gpus} if need.gpus else {})}
