"""What no schedule can beat: the work on all machines without a pause, and the longest trace by itself."""

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
    """Seconds: each engine is loaded once at least, and decodes no faster than with its batch full.

    Three bounds: the time of GPUs over their number, the same of CPUs, each engine where it costs least;
    and an engine's load with its longest trace, which decodes fastest alone. Loads count at the model's
    time, decoding at what it takes in truth: `slowness` times the model's.
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
