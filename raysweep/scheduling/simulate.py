"""A run on the clusters that one does not have: its schedule under a virtual clock.

The decisions are those of a real run; actors, their speed by the cost model, their faults and the length
of their traces are simulated. What comes out is how long it takes, how busy the GPUs are, and how far the
schedule is from what none can beat.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from raysweep.errors import ConfigError
from raysweep.planning.fit import row_tokens
from raysweep.planning.jobs import jobs_of, learnt_from
from raysweep.planning.plan import Plan
from raysweep.run_config import Cluster, RunConfig
from raysweep.scheduling import loop
from raysweep.scheduling.bound import least_makespan
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import Bar, Luck, SimulatedWorld
from raysweep.scheduling.trace_lengths import Stream, TraceLengths
from raysweep.storage.part import Part
from raysweep.storage.store import Store

GPUS_A_NODE = 8
CPUS_A_GPU = 16
LOAD_SPREAD, SPEED_SPREAD = 0.2, 0.1  # of the logarithms of what the cost model says
MOST_PARTS = 8  # of a stream, in which lengths are looked up


@dataclass(frozen=True)
class Simulation:
    """What a simulated run came to; times in seconds, `intervals` for the Gantt figure.

    bound_s      no schedule ends sooner
    busy_share   of the GPUs' time, in which something was decoded
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
    faults: dict[str, int]
    given_up: int
    intervals: tuple[Bar, ...] = ()

    def as_json(self) -> dict:
        """Everything but the intervals."""
        return {key: value for key, value in asdict(self).items() if key != "intervals"}


def simulate(config: RunConfig, plan: Plan, store: Store) -> Simulation:
    """Simulate what is to do of a plan, on the cluster's GPUs.

    Raises ConfigError where nobody said how many there are.
    """
    nodes = nodes_of(config.cluster)
    jobs = jobs_of(plan.to_do, config.generation, config.cluster, row_tokens(config))
    wish = config.simulate
    measured = measured_lengths(plan, store)
    lengths = TraceLengths(wish.mean_length, wish.length_spread, wish.seed, measured)
    luck = Luck(wish.seed, wish.faults, LOAD_SPREAD, SPEED_SPREAD)
    world = SimulatedWorld(nodes, lengths, luck)
    learnt = learnt_from(plan.parts, jobs)
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
    """The nodes that a cluster's GPUs are in, eight in each."""
    if not cluster.pools or any(pool.gpus is None for pool in cluster.pools):
        raise ConfigError(
            "cluster.gpus: missing, and a simulation needs to know how many there are; write, say, "
            "cluster.gpu=h100-80 cluster.gpus=64"
        )
    return tuple(
        Node(f"{pool.gpu.name}/{first // GPUS_A_NODE}", count * CPUS_A_GPU, count, kind)
        for pool in cluster.pools
        for kind in [pool.gpu.accelerator_type]
        for first in range(0, pool.gpus or 0, GPUS_A_NODE)
        for count in [min(GPUS_A_NODE, (pool.gpus or 0) - first)]
    )


def measured_lengths(plan: Plan, store: Store) -> dict[Stream, list[int]]:
    """Tokens of finished traces, their forks included, by engine and benchmark."""
    benchmarks = {planned.shard_id: planned.benchmark for planned in plan.shards}
    by_stream: dict[Stream, list[Part]] = defaultdict(list)
    for part in plan.parts:
        if part.tokens and part.shard_id in benchmarks:
            by_stream[part.engine_id, benchmarks[part.shard_id]].append(part)
    return {stream: _lengths(parts[:MOST_PARTS], store) for stream, parts in by_stream.items()}


def _lengths(parts: Sequence[Part], store: Store) -> list[int]:
    """Traces with an equal share of what all the forks of their part took."""
    lengths: list[int] = []
    for part in parts:
        table = store.read_part(part.engine_id, part.shard_id, ["trace_tokens"])
        traces: list[int] = table["trace_tokens"].to_pylist()
        forks = (part.tokens - sum(traces)) / len(traces)
        lengths += [round(tokens + forks) for tokens in traces]
    return lengths
