"""A ceiling on what a run may cost in all, in dollars or GPU-hours.

What was spent is measured: the places of this session, and what earlier sessions left in the folder. What a
round would take is estimated as in the plan: expected tokens at the measured speeds, and a load per engine.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.planning.jobs import Job
from raysweep.planning.loads import LoadTimes
from raysweep.planning.placements import Option
from raysweep.run_config import Adaptive, Cluster
from raysweep.scheduling.queues import EngineQueue, Task
from raysweep.scheduling.schedule import Schedule
from raysweep.storage.part import Part

HOUR_S = 3600.0

# GPU seconds by kind of GPU.
GpuSeconds = Mapping[str, float]


@dataclass(frozen=True)
class Ceiling:
    """The most that a run may cost; None for no limit.

    prices   dollars per GPU-hour, by kind of GPU
    earlier  what earlier sessions took
    """

    usd: float | None = None
    gpu_hours: float | None = None
    prices: Mapping[str, float] = field(default_factory=dict)
    earlier: GpuSeconds = field(default_factory=dict)

    @classmethod
    def of(cls, own: Adaptive, cluster: Cluster, earlier: GpuSeconds) -> "Ceiling":
        prices = {pool.gpu.accelerator_type: pool.gpu.usd_per_hour for pool in cluster.pools}
        return cls(own.max_usd, own.max_gpu_hours, prices, earlier)

    @property
    def is_none(self) -> bool:
        """Whether there is no limit."""
        return self.usd is None and self.gpu_hours is None

    def allows(self, schedule: Schedule, jobs: Sequence[Job], now: float) -> bool:
        """Whether the work that the schedule holds and some more jobs stay within it."""
        return self.is_none or self._is_within(self._with(schedule, jobs, now))

    def is_reached(self, schedule: Schedule, now: float) -> bool:
        """Whether all of it is spent."""
        return not self.is_none and not self._is_within(self.spent(schedule, now))

    def reached(self, schedule: Schedule, now: float) -> str:
        """What to say once it is reached."""
        return f"{self._text(self.spent(schedule, now))} are spent; {self._way_on()}"

    def exceeded(self, schedule: Schedule, jobs: Sequence[Job], now: float) -> str:
        """What to say of jobs that are not allowed."""
        spent, whole = self.spent(schedule, now), self._with(schedule, jobs, now)
        text = f"{self._text(spent)} are spent, and the next round would bring that to"
        return f"{text} about {self._text(whole)}; {self._way_on()}"

    def spent(self, schedule: Schedule, now: float) -> defaultdict[str, float]:
        """GPU seconds of all sessions so far."""
        found = defaultdict(float, self.earlier)
        for kind, seconds in schedule.gpu_s_of.items():
            found[kind] += seconds
        for place in schedule.places.values():
            found[place.spot.need.kind] += (now - place.since) * place.spot.need.gpus
        return found

    def _with(self, schedule: Schedule, jobs: Sequence[Job], now: float) -> GpuSeconds:
        """What is spent, what the schedule's work will take, and what some jobs would take."""
        found = self.spent(schedule, now)
        for queue in schedule.queues:
            need = queue.options[0].need
            found[need.kind] += need.gpus * seconds_left(queue)
        for job in jobs:
            known, need = schedule.by_engine.get(job.engine.engine_id), job.options[0].need
            loaded = known is not None and known.actors > 0
            found[need.kind] += need.gpus * seconds_of(job, schedule, loaded)
        return found

    def _is_within(self, gpu_s: GpuSeconds) -> bool:
        usd, hours = self.costs(gpu_s)
        dear = self.usd is not None and usd > self.usd
        return not dear and (self.gpu_hours is None or hours <= self.gpu_hours)

    def costs(self, gpu_s: GpuSeconds) -> tuple[float, float]:
        """Dollars and GPU-hours. A kind of GPU that has no price here counts at the highest."""
        highest = max(self.prices.values(), default=0.0)
        usd = sum(s / HOUR_S * self.prices.get(kind, highest) for kind, s in gpu_s.items())
        return usd, sum(gpu_s.values()) / HOUR_S

    def _text(self, gpu_s: GpuSeconds) -> str:
        usd, hours = self.costs(gpu_s)
        return f"{hours:,.2f} GPU-hours" if self.usd is None else f"${usd:,.2f}"

    def _way_on(self) -> str:
        field, limit = ("max_gpu_hours", self.gpu_hours)
        if self.usd is not None:
            field, limit = ("max_usd", self.usd)
        return f"a larger sweep.adaptive.{field} than {limit:g} goes on from here"


def seconds_left(queue: EngineQueue) -> float:
    """Seconds of one place for the work that an engine has. Running samples count as half done."""
    return queue.seconds_of(queue.waiting_tokens + queue.running_tokens / 2, queue.options[0])


def seconds_of(job: Job, schedule: Schedule, loaded: bool) -> float:
    """Seconds of one place for a job, with a load unless its engine is `loaded`."""
    option = job.options[0]
    queue = EngineQueue(job.engine, job.options, schedule.learnt)
    queue.add(Task(shard) for shard in job.shards)
    return queue.waiting_s(option) + (0.0 if loaded or not job.shards else option.speed.load_s)


def spent_before(
    parts: Iterable[Part],
    loads: LoadTimes,
    ways: Mapping[str, Sequence[Option]],
    noted_hours: float = 0.0,
) -> GpuSeconds:
    """GPU seconds of earlier sessions, by kind of GPU: what the parts took, and the loads.

    ways         how each engine may run, by its id; one that may run nowhere now took one GPU
    noted_hours  GPU-hours that sessions noted when they ended, with idle ones, if these are more
    """
    gpus = {(name, way.need.kind): way.need.gpus for name, own in ways.items() for way in own}
    found: defaultdict[str, float] = defaultdict(float)
    took = [(one.engine_id, one.device, one.engine_s) for one in parts]
    took += [(engine_id, device, time.seconds) for (device, engine_id), time in loads.items()]
    for engine_id, device, seconds in took:
        found[device] += seconds * gpus.get((engine_id, device), 1.0 if device else 0.0)
    whole = sum(found.values())
    if noted_hours * HOUR_S > whole > 0:
        return {kind: s * noted_hours * HOUR_S / whole for kind, s in found.items()}
    return found
