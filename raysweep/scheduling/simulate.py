"""A run on a cluster that one need not have: its schedule under a virtual clock.

The scheduler is that of a real run. The actors, their speed (by the roofline model), their faults and the
lengths of their traces are simulated. The result says how long the run takes, how busy the GPUs are, and
how far the schedule is from a lower bound.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from raysweep.errors import ConfigError
from raysweep.planning.estimate import kinds_of
from raysweep.planning.jobs import jobs_of, learnt_from
from raysweep.planning.lengths import run_lengths
from raysweep.planning.loads import loads_of, noted_loads
from raysweep.planning.plan import Plan
from raysweep.run_config import Cluster, Pool, RunConfig
from raysweep.scheduling import loop
from raysweep.scheduling.bound import least_makespan
from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import Bar, Luck, SimulatedWorld
from raysweep.scheduling.trace_lengths import Stream, TraceLengths
from raysweep.shard import Shard
from raysweep.storage.part import Part
from raysweep.storage.part_file import place_of
from raysweep.storage.store import Store

GPUS_PER_NODE = 8
CPUS_PER_GPU = 16

# Standard deviations of the logarithms of load time and step time around the model.
LOAD_SPREAD, SPEED_SPREAD = 0.2, 0.1

# Trace lengths are read from this many parts of a stream at most.
MOST_PARTS = 8


@dataclass(frozen=True)
class Simulation:
    """The result of a simulated run, with times in seconds.

    bound_s     no schedule can end sooner
    busy_share  share of the GPUs' time in which they decoded
    intervals   the bars of the Gantt figure
    """

    gpus: int
    shards: int
    samples: int
    tokens: int
    makespan_s: float
    bound_s: float
    busy_share: float
    gpu_hours: float
    actors: int
    loads: int
    faults: dict[LossKind, int]
    given_up: int
    intervals: tuple[Bar, ...] = ()

    def as_json(self) -> dict:
        """Everything but the intervals."""
        return {key: value for key, value in asdict(self).items() if key != "intervals"}


def simulate(config: RunConfig, plan: Plan, shards: Sequence[Shard], store: Store) -> Simulation:
    """Simulate unfinished shards of a plan on the cluster's GPUs.

    Raises ConfigError if the configuration does not say how many GPUs there are.
    """
    nodes = nodes_of(config.cluster)
    loads = loads_of(noted_loads(store), plan.engines)
    jobs = jobs_of(shards, config.generation, config.cluster, run_lengths(config), loads)
    assumed = config.simulate
    measured = measured_lengths(plan, store)
    lengths = TraceLengths(assumed.mean_length, assumed.length_spread, assumed.seed, measured)
    luck = Luck(assumed.seed, assumed.faults, LOAD_SPREAD, SPEED_SPREAD)
    world = SimulatedWorld(nodes, lengths, luck)
    learnt = learnt_from(plan.parts, jobs, kinds_of(config, plan.engines, plan.parts))
    schedule = Schedule(jobs, learnt, config.generation.max_attempts, config.cluster.actors)
    loop.run(schedule, world, lambda schedule, event: None)
    gpus = sum(node.gpus for node in nodes)
    return Simulation(
        gpus=gpus,
        shards=schedule.done.shards,
        samples=schedule.done.samples,
        tokens=schedule.done.tokens,
        makespan_s=world.now(),
        bound_s=least_makespan(jobs, nodes, lengths, luck.slowness),
        busy_share=world.busy_s / max(world.now() * gpus, 1e-9),
        gpu_hours=schedule.gpu_s / 3600,
        actors=schedule.most_held,
        loads=schedule.started,
        faults=dict(schedule.faults),
        given_up=len(schedule.failures),
        intervals=tuple(world.intervals),
    )


def nodes_of(cluster: Cluster) -> tuple[Node, ...]:
    """Nodes for the cluster's GPUs, with `per_node` GPUs each, or GPUS_PER_NODE."""
    if not cluster.pools or any(pool.gpus is None for pool in cluster.pools):
        raise ConfigError(
            "cluster.gpus: missing, and a simulation needs the number of GPUs; write for example "
            "cluster.gpu=h100-80 cluster.gpus=64"
        )
    return tuple(node for pool in cluster.pools for node in _nodes_of(pool))


def _nodes_of(pool: Pool) -> Iterator[Node]:
    most, left, kind = pool.per_node or GPUS_PER_NODE, pool.gpus or 0, pool.gpu.accelerator_type
    for number in range(math.ceil(left / most)):
        count = min(most, left - number * most)
        yield Node(f"{pool.gpu.name}/{number}", count * CPUS_PER_GPU, count, kind)


def measured_lengths(plan: Plan, store: Store) -> dict[Stream, list[int]]:
    """Tokens of finished traces, their forks included, by engine and benchmark.

    Of an engine that has samples up to several numbers of token budgets, only those up to the most are used,
    since the others are cut short.
    """
    planned = {one.shard_id: one for one in plan.shards if one.shard is None}
    by_stream: dict[Stream, dict[float, list[Part]]] = defaultdict(lambda: defaultdict(list))
    for part in plan.parts:
        if part.tokens + part.kept_tokens and (one := planned.get(part.shard_id)):
            at_most = one.est_tokens / one.samples
            by_stream[part.engine_id, one.benchmark][at_most].append(part)
    return {
        stream: _lengths(parts[max(parts)][:MOST_PARTS], store)
        for stream, parts in by_stream.items()
    }


def _lengths(parts: Sequence[Part], store: Store) -> list[int]:
    """The trace lengths of some parts. The tokens of a part's forks are spread evenly over its traces."""
    lengths: list[int] = []
    for part in parts:
        table = store.read_part(place_of(part), ["trace_tokens"])
        traces: list[int] = table["trace_tokens"].to_pylist()
        forks = (part.tokens + part.kept_tokens - sum(traces)) / len(traces)
        lengths += [round(tokens + forks) for tokens in traces]
    return lengths
