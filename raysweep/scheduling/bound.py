"""What no schedule can beat: the work on all GPUs without a pause, and the longest trace by itself."""

from collections.abc import Sequence

from raysweep.scheduling.nodes import Node
from raysweep.scheduling.queues import Job
from raysweep.scheduling.simulation import Lengths


def least_makespan(jobs: Sequence[Job], nodes: Sequence[Node], lengths: Lengths) -> float:
    """Seconds: each engine is loaded once at least, and decodes no faster than with its batch full.

    The first bound is GPU time over GPUs, each engine where it costs least; the second an engine's load
    and its longest trace, which decodes fastest alone.
    """
    gpu_s = longest_s = 0.0
    for job in jobs:
        traces = [length for shard in job.shards for length in lengths(shard)]
        gpu_s += min(
            (option.need.gpus or 1.0)
            * (option.speed.load_s + sum(traces) / option.speed.tokens_s())
            for option in job.options
        )
        longest_s = max(
            longest_s,
            min(
                option.speed.load_s + max(traces, default=0) / option.speed.tokens_s(1)
                for option in job.options
            ),
        )
    places = sum(node.gpus or node.cpus for node in nodes)
    return max(gpu_s / places, longest_s)
