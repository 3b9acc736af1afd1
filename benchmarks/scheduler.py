"""The schedule on clusters of 8 to 1,000 GPUs under a virtual clock, beside two simple schedules.

    python -m benchmarks.scheduler        about four minutes

The work is the study's grid with 32 samples and thinking that ends by itself. Trace lengths are log-normal,
with a mean of 0.4 of 30,000 tokens, and are cut at 30,000. 1% of the shards are lost with their actors, and
load times deviate from the model. All schedules get the same shards and lengths, and deviations from the same
seed:

    raysweep     longest remaining work first, replicas, guided pieces, replacement of lost actors
    first come   engines in the order of the grid, one actor per engine, which ends with its engine
    round robin  as ray.util.ActorPool: actors on all GPUs from the start, evenly over the engines, and each
                 engine keeps its GPUs to the end

Each is compared with a lower bound (`scheduling.bound`). The time and memory of the decisions for 100,000
shards are measured too, with one trace per shard.
"""

import argparse
import gc
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

from benchmarks.configured import configured
from raysweep.planning.jobs import Job, jobs_of
from raysweep.planning.lengths import run_lengths
from raysweep.planning.measured import Learnt
from raysweep.planning.placements import Option
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.scheduling import loop
from raysweep.scheduling.bound import least_makespan
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.nodes import Node, Spot
from raysweep.scheduling.queues import EngineQueue
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulate import nodes_of
from raysweep.scheduling.simulated_world import Luck, SimulatedWorld
from raysweep.scheduling.trace_lengths import TraceLengths
from raysweep.shard import Shard
from raysweep.system.quantities import GB

CLUSTERS = (8, 64, 512, 1000)
LUCK = Luck(seed=0, shard_faults=0.01, load_spread=0.3)
MAX_ATTEMPTS = 5
DECISIONS = 100_000


class FirstCome(Schedule):
    """Engines in the order of the grid, one actor each."""

    def paying(self) -> list[EngineQueue]:
        return [queue for queue in self.queues if queue.waiting_samples and not queue.actors]

    def _next(self, avoid: set[str]) -> tuple[EngineQueue, Option, Spot] | None:
        for queue in self.paying():
            spot = self.capacity.find(queue.options[0].need, avoid)
            if spot:
                return queue, queue.options[0], spot
        return None


class RoundRobin(FirstCome):
    """All engines get the same number of actors, as far as there are GPUs."""

    def paying(self) -> list[EngineQueue]:
        waiting = [queue for queue in self.queues if queue.waiting_samples > 2 * queue.actors]
        return sorted(waiting, key=lambda queue: queue.actors)


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "raysweep": Schedule,
    "first come": FirstCome,
    "round robin": RoundRobin,
}


def study(gpus: int, samples: int) -> RunConfig:
    """The grid of conf/sweep/full.yaml, planned for `gpus` H100 GPUs."""
    return configured(
        "+sweep=full",
        "stages=[simulate]",
        "sweep.forcing=plain",
        f"sweep.samples={samples}",
        "cluster.gpu=h100-80",
        f"cluster.gpus={gpus}",
    )


def makespan(
    schedule: Callable[..., Schedule],
    jobs: Sequence[Job],
    nodes: Sequence[Node],
    lengths: TraceLengths,
) -> tuple[float, float, Counter[LossKind]]:
    """The makespan in seconds, the share of the GPUs' time spent decoding, and the faults."""
    world = SimulatedWorld(nodes, lengths, LUCK)
    planned = schedule(jobs, Learnt(), MAX_ATTEMPTS)
    loop.run(planned, world, lambda schedule, event: None)
    assert not planned.failures and not planned.waits
    gpus = sum(node.gpus for node in nodes)
    return world.now(), world.busy_s / (gpus * world.now()), planned.faults


def compare(gpus: int, samples: int) -> Iterator[str]:
    config = study(gpus, samples)
    jobs = jobs_of(
        make_plan(config, ()).to_do, config.generation, config.cluster, run_lengths(config)
    )
    nodes = nodes_of(config.cluster)
    lengths = TraceLengths(0.4, 0.8)
    bound = least_makespan(jobs, nodes, lengths)
    shards = sum(len(job.shards) for job in jobs)
    yield f"{gpus:,} GPUs, {shards:,} shards: the lower bound is {bound / 3600:.2f} h"
    for name, schedule in SCHEDULES.items():
        took, busy, faults = makespan(schedule, jobs, nodes, lengths)
        yield (
            f"    {name:12} {took / 3600:8.2f} h   {took / bound:6.3f} x the bound   "
            f"{busy:6.1%} busy   {faults.total():,} actors lost"
        )


def decisions(shards: int, samples: int) -> str:
    """CPU time and memory of the decisions for `shards` shards of one trace each, on 1,000 GPUs."""
    config = study(1000, samples)
    jobs = jobs_of(
        make_plan(config, ()).to_do, config.generation, config.cluster, run_lengths(config)
    )
    jobs = [replace(job, shards=tuple(_ones(job.shards, shards // len(jobs) + 1))) for job in jobs]
    count = sum(len(job.shards) for job in jobs)
    gc.collect()
    world = SimulatedWorld(nodes_of(config.cluster), lambda shard: [10_000], LUCK)
    started = time.process_time()
    schedule = Schedule(jobs, Learnt(), MAX_ATTEMPTS)
    loop.run(schedule, world, lambda schedule, event: None)
    cpu_s = time.process_time() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (
        f"{schedule.done.shards:,} of {count:,} shards decided and simulated in {cpu_s:.1f} s of CPU; "
        f"peak memory of the process {peak / GB:.2f} GB"
    )


def _ones(shards: Iterable[Shard], count: int) -> list[Shard]:
    """Shards of one trace each."""
    singles = (
        replace(shard, questions=(question,), sample_start=index, sample_count=1)
        for shard in shards
        for question in shard.questions
        for index in shard.indices
    )
    return [single for single, _ in zip(singles, range(count), strict=False)]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gpus", type=int, nargs="*", default=CLUSTERS)
    parser.add_argument("--samples", type=int, default=32, help="samples per question")
    parser.add_argument(
        "--decisions", type=int, default=DECISIONS, help="number of shards, 0 for none"
    )
    options = parser.parse_args()
    if options.decisions:
        print(decisions(options.decisions, options.samples), flush=True)
    for gpus in options.gpus:
        for line in compare(gpus, options.samples):
            print(line, flush=True)


if __name__ == "__main__":
    main()
