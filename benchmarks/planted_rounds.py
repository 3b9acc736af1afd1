"""Rounds whose decisions are given, on simulated actors: how long an adaptive run takes on a cluster.

The schedule and the rounds are those of a real run. Only samples and decisions are planted.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

from raysweep.adaptive.rules import looks
from raysweep.adaptive.sampling import as_part
from raysweep.adaptive.supply import SupplyInRounds
from raysweep.planning.demand import Segment
from raysweep.planning.jobs import jobs_of
from raysweep.planning.lengths import run_lengths
from raysweep.planning.measured import Learnt
from raysweep.planning.plan import make_plan
from raysweep.run_config import RunConfig
from raysweep.scheduling import loop
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import SimulatedWorld
from raysweep.shard import Shard
from raysweep.spec import EngineSpec

# Gives the engines that live on, with the number of their token budgets, from the benchmark, the samples
# per question and the engines of the round.
Decide = Callable[[str, int, Mapping[str, int]], Mapping[str, int]]


@dataclass(eq=False)
class PlantedRounds:
    """The rounds of a run from its start (`supply.Sampling`).

    leads    whether an engine is seen to lead before the round is whole
    rounds   of each benchmark the number of looks decided, and the engines of the current round
    """

    config: RunConfig
    engines: Sequence[EngineSpec]
    decide: Decide
    leads: Callable[[str], bool] = lambda engine_id: True
    rounds: dict[str, tuple[int, Mapping[str, int]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.looks = looks(self.config.sweep.samples)
        most = len(self.config.sweep.token_budgets)
        for benchmark in self.benchmarks:
            first = {e.engine_id: most for e in self.engines if not e.control}
            self.rounds[benchmark] = 0, first
        self._made: list[Shard] = []

    @property
    def benchmarks(self) -> Sequence[str]:
        return [benchmark.name for benchmark in self.config.sweep.benchmarks]

    def finished(self, shard: Shard) -> None:
        self._made.append(shard)

    def advance(self, benchmark: str) -> bool:
        look, engines = self.rounds[benchmark]
        if look == len(self.looks) - 1:
            return False
        self.rounds[benchmark] = look + 1, self.decide(benchmark, self.looks[look], engines)
        return True

    def engines_of(self, benchmark: str) -> Collection[str]:
        return self.rounds[benchmark][1].keys()

    def to_do(
        self, benchmark: str, held: Iterable[Shard], early: Collection[str] = ()
    ) -> Sequence[Shard]:
        look, engines = self.rounds[benchmark]
        at = look + bool(early)
        start, stop = (0, *self.looks)[at], self.looks[at]
        own = {name: k for name, k in engines.items() if not early or name in early}
        demands: dict[tuple[str, str], tuple[Segment, ...]] = {
            (engine.engine_id, name): () for engine in self.engines for name in self.benchmarks
        }
        for name, budgets in own.items():
            demands[name, benchmark] = (Segment(start, stop, budgets),)
        there = [one for one in (*self._made, *held) if one.sample_start >= start]
        return make_plan(self.config, map(as_part, there), demands).to_do

    def chance(self, engine_id: str) -> float:
        return 1.0

    def leaders(self, benchmark: str, engines: Collection[str]) -> set[str]:
        look, _ = self.rounds[benchmark]
        last = look == len(self.looks) - 1
        return set() if last else {name for name in engines if self.leads(name)}


@dataclass(frozen=True)
class Clocked:
    """What a simulated run took."""

    makespan_s: float
    gpu_hours: float
    busy_share: float
    samples: int


def run_in_rounds(
    rounds: PlantedRounds,
    nodes: Sequence[Node],
    world: SimulatedWorld,
    begins_early: bool = True,
    ranks: bool = True,
) -> Clocked:
    """Run planted rounds to their end under the virtual clock."""
    config = rounds.config
    jobs = partial(
        jobs_of,
        generation=config.generation,
        cluster=config.cluster,
        lengths=run_lengths(config),
    )
    schedule = Schedule((), Learnt(), config.generation.max_attempts, config.cluster.actors)
    supply = SupplyInRounds(rounds, jobs, begins_early=begins_early, ranks=ranks)
    supply.begin(schedule, world.now())
    loop.run(schedule, world, lambda schedule, event: None, supply)
    return clocked(schedule, nodes, world)


def run_whole(
    config: RunConfig, shards: Iterable[Shard], nodes: Sequence[Node], world: SimulatedWorld
) -> Clocked:
    """Run shards to their end under the virtual clock, without rounds."""
    jobs = jobs_of(shards, config.generation, config.cluster, run_lengths(config))
    schedule = Schedule(jobs, Learnt(), config.generation.max_attempts, config.cluster.actors)
    loop.run(schedule, world, lambda schedule, event: None)
    return clocked(schedule, nodes, world)


def clocked(schedule: Schedule, nodes: Sequence[Node], world: SimulatedWorld) -> Clocked:
    gpus = sum(node.gpus for node in nodes)
    return Clocked(
        makespan_s=world.now(),
        gpu_hours=schedule.gpu_s / 3600,
        busy_share=world.busy_s / max(world.now() * gpus, 1e-9),
        samples=schedule.done.samples,
    )
