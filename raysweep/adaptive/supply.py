"""How a session goes from round to round: a look is decided when its round is in, and more work joins.

At a round's end, GPUs would wait for the slowest engine. So engines that clearly lead begin their next round
early. What they make would be made anyway, and no decision rests on it before its time. If a leader is out
after all, its waiting work is withdrawn.

Nothing is started that would exceed the ceiling on money or GPU-hours. The same code runs on Ray and under
the virtual clock.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Protocol

from raysweep.adaptive.ceiling import Ceiling, seconds_of
from raysweep.planning.jobs import Job
from raysweep.scheduling.queues import EngineQueue, Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.supply import tasks_of
from raysweep.shard import Shard

# Engines begin a round early once this share of the engines has ended the round before. Who leads among a
# few of them says little.
ENDED = 0.5


class Sampling(Protocol):
    """The rounds of a run, and what it takes to decide them."""

    @property
    def benchmarks(self) -> Sequence[str]: ...

    def finished(self, shard: Shard) -> None:
        """Take in that the samples of a shard are in the store."""
        ...

    def advance(self, benchmark: str) -> bool:
        """Decide each look of a benchmark whose samples are all there. Gives whether there was any."""
        ...

    def engines_of(self, benchmark: str) -> Collection[str]:
        """The ids of the engines of a benchmark's current round."""
        ...

    def to_do(
        self, benchmark: str, held: Iterable[Shard], early: Collection[str] = ()
    ) -> Sequence[Shard]:
        """The shards that are wanted and missing.

        held   work that the schedule has already, of which nothing is given again
        early  engines whose next round is asked for, and no others'; none for the current round of all
        """
        ...

    def chance(self, engine_id: str) -> float:
        """The chance that an engine matters. It orders the work."""
        ...

    def leaders(self, benchmark: str, engines: Collection[str]) -> set[str]:
        """Those of some engines that have ended the current round which will surely live on."""
        ...


class SupplyInRounds:
    """Brings a schedule the work of the next rounds (`scheduling.supply.Supply`).

    jobs          makes jobs of shards
    begins_early  whether engines that lead begin rounds early
    ranks         whether cheap information comes first within a round, else the longest work
    exceeded      why a round was not started, or "" if none exceeded the ceiling
    """

    def __init__(
        self,
        sampling: Sampling,
        jobs: Callable[[Iterable[Shard]], Sequence[Job]],
        ceiling: Ceiling | None = None,
        begins_early: bool = True,
        ranks: bool = True,
    ):
        self.sampling, self.jobs = sampling, jobs
        self.ceiling, self.begins_early = ceiling or Ceiling(), begins_early
        self.ranks, self.exceeded = ranks, ""
        self._early: dict[str, set[str]] = {}
        # Benchmarks of which an engine has ended its round since engines last began one early.
        self._ended: set[str] = set()

    def begin(self, schedule: Schedule, now: float) -> None:
        """Give a schedule the work of the current rounds."""
        for benchmark in self.sampling.benchmarks:
            self.add(schedule, self.sampling.to_do(benchmark, ()), now)

    def finished(self, schedule: Schedule, task: Task, now: float) -> None:
        benchmark, engine_id = task.shard.benchmark, task.shard.engine.engine_id
        self.sampling.finished(task.shard)
        if self.ceiling.is_reached(schedule, now):
            self.exceeded = self.ceiling.reached(schedule, now)
            schedule.stop(self.exceeded)
        queue = schedule.by_engine[engine_id]
        if queue.left(benchmark):
            return
        self._ended.add(benchmark)
        if not any(self._is_in_round(queue, benchmark) for queue in schedule.queues):
            self._next_round(schedule, benchmark, now)

    @property
    def can_begin(self) -> bool:
        """Whether an engine has ended its round since engines last began one early."""
        return self.begins_early and bool(self._ended)

    def idle(self, schedule: Schedule, now: float) -> None:
        ended, self._ended = self._ended, set()
        for benchmark in sorted(ended):
            self._begin_early(schedule, benchmark, now)

    def _is_in_round(self, queue: EngineQueue, benchmark: str) -> bool:
        """Whether an engine has samples of the current round to make. A control has no say in a decision."""
        early = queue.engine.engine_id in self._early.get(benchmark, ())
        return not early and not queue.engine.control and queue.left(benchmark) > 0

    def _next_round(self, schedule: Schedule, benchmark: str, now: float) -> None:
        if schedule.draining or not self.sampling.advance(benchmark):
            return
        early = self._early.pop(benchmark, set())
        for queue in schedule.queues:
            if queue.engine.engine_id in early:
                queue.withdraw(lambda task: task.shard.benchmark == benchmark)
        held = [task.shard for task in tasks_of(schedule, benchmark)]
        self.add(schedule, self.sampling.to_do(benchmark, held), now)

    def _begin_early(self, schedule: Schedule, benchmark: str, now: float) -> None:
        """Let engines that clearly lead begin their next round."""
        engines = set(self.sampling.engines_of(benchmark))
        busy = {q.engine.engine_id for q in schedule.queues if self._is_in_round(q, benchmark)}
        ended, early = engines - busy, self._early.setdefault(benchmark, set())
        if len(ended) < ENDED * len(engines) or not ended - early:
            return
        leaders = self.sampling.leaders(benchmark, ended) - early
        if leaders:
            held = [task.shard for task in tasks_of(schedule, benchmark)]
            if self.add(schedule, self.sampling.to_do(benchmark, held, leaders), now):
                early |= leaders

    def _ranked(self, job: Job, schedule: Schedule) -> Job:
        """A job whose rank is the chance that its engine matters, per GPU-second."""
        gpu_s = seconds_of(job, schedule, loaded=False) * (job.options[0].need.gpus or 1.0)
        chance = self.sampling.chance(job.engine.engine_id)
        return replace(job, rank=chance / max(gpu_s, 1e-9) if self.ranks else 0.0)

    def add(self, schedule: Schedule, shards: Sequence[Shard], now: float) -> bool:
        """Give a schedule the jobs of some shards, unless they would exceed the ceiling."""
        jobs = [self._ranked(job, schedule) for job in self.jobs(shards)]
        if jobs and not self.ceiling.allows(schedule, jobs, now):
            self.exceeded = self.ceiling.exceeded(schedule, jobs, now)
            return False
        schedule.add(jobs)
        return True
