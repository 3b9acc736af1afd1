"""A lower bound on the time of any schedule.

All machines work without a pause, and no engine ends before its longest trace.
"""

from collections.abc import Callable, Sequence

from raysweep.planning.jobs import Job
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.simulated_world import Lengths


def least_makespan(
    jobs: Sequence[Job],
    nodes: Sequence[Node],
    lengths: Lengths,
    slowness: Callable[[str], float] = lambda engine_id: 1.0,
) -> float:
    """Seconds that every schedule takes at least, as the largest of three bounds.

    The first two are the GPU seconds of all engines over the number of GPUs, and likewise for CPUs. Each
    engine counts with its cheapest option, one load, and decoding with a full batch. The third is an
    engine's load and its longest trace, which decodes fastest alone. Loads take the modelled time, and
    decoding takes `slowness` times the modelled time.
    """
    gpu_s = cpu_s = longest_s = 0.0
    for job in jobs:
        traces = [length for shard in job.shards for length in lengths(shard)]
        total, longest = sum(traces), max(traces, default=0)
        slow = slowness(job.engine.engine_id)
        held_s = [(o.need, o.speed.load_s + slow * total / o.speed.tokens_s()) for o in job.options]
        gpu_s += min(need.gpus * seconds for need, seconds in held_s)
        cpu_s += min(need.cpus * seconds for need, seconds in held_s)
        alone_s = min(o.speed.load_s + slow * longest / o.speed.tokens_s(1) for o in job.options)
        longest_s = max(longest_s, alone_s)
    gpus, cpus = sum(node.gpus for node in nodes), sum(node.cpus for node in nodes)
    return max(gpu_s / gpus if gpu_s else 0.0, cpu_s / cpus, longest_s)
