"""A world under a virtual clock: actors that load, decode and die as real ones do, in no time.

An actor decodes up to `rows` traces together; a step takes `step_s + rows * row_s` and gives each of them
a token (`cost.Speed`). So time runs in steps: a trace of n tokens that begins at step s ends at s + n,
and only the ends of traces are events. Faults and lengths are drawn from what names the work, never from
the order of events: two schedules are compared on the same luck.
"""

import heapq
import itertools
import math
import random
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from raysweep.scheduling.loop import Event, Finished, HasCapacity, Loaded, Lost
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place, spare
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.shard import Receipt, Shard

Lengths = Callable[[Shard], Sequence[int]]  # tokens of each of a shard's traces, forks included


@dataclass(frozen=True)
class Luck:
    """What goes otherwise than modelled.

    shard_faults  share of the shards that are lost; an actor's death takes all that it is at
    load_spread, speed_spread  standard deviation of the logarithm of an actor's time to load, and of an
                  engine's time for a step
    """

    seed: int = 0
    shard_faults: float = 0.0
    load_spread: float = 0.0
    speed_spread: float = 0.0

    def draw(self, *what: object) -> random.Random:
        return random.Random(repr((self.seed, *what)))

    def slowness(self, engine_id: str) -> float:
        """An engine's time for a step over the modelled one."""
        return math.exp(self.draw("speed", engine_id).gauss(0.0, self.speed_spread))


@dataclass(frozen=True)
class Bar:
    """A place from its start to its end, for the Gantt figure; times in seconds."""

    node_id: str
    devices: tuple[int, ...]
    gpus: float
    engine_id: str
    start: float
    loaded: float
    end: float
    lost: bool


@dataclass(eq=False)
class _Actor:
    """An engine that decodes: which traces, at which step, and when it was last looked at."""

    place: Place
    slowness: float
    loaded_at: float
    at: float
    step: float = 0.0
    queued: deque[tuple[int, Task]] = field(default_factory=deque)
    ends: list[tuple[float, int, Task]] = field(default_factory=list)
    left: dict[Task, int] = field(default_factory=dict)
    dies_after: dict[Task, int] = field(default_factory=dict)
    tokens: dict[Task, int] = field(default_factory=dict)
    version: int = 0
    busy_s: float = 0.0
    counted_s: float = 0.0
    has_capacity: bool = False
    lost: bool = False

    @property
    def step_s(self) -> float:
        speed = self.place.option.speed
        return (speed.step_s + len(self.ends) * speed.row_s) * self.slowness

    def advance(self, now: float) -> None:
        """Decode until `now`, in which no trace ends."""
        if self.ends and now > self.at:
            self.step += (now - self.at) / self.step_s
            self.busy_s += now - self.at
        self.at = max(self.at, now)

    def fill(self, numbers: "itertools.count[int]") -> None:
        """Begin with waiting traces, as far as there are rows."""
        while self.queued and len(self.ends) < self.place.rows:
            tokens, task = self.queued.popleft()
            heapq.heappush(self.ends, (self.step + tokens, next(numbers), task))

    @property
    def next_end(self) -> float:
        return self.at + max(0.0, self.ends[0][0] - self.step) * self.step_s


class SimulatedWorld:
    """Actors on nodes that are all there from the start.

    intervals  what each place was, once it is over
    busy_s     GPU seconds in which something was decoded
    """

    def __init__(self, nodes: Sequence[Node], lengths: Lengths, luck: Luck):
        self._nodes, self._lengths, self._luck = tuple(nodes), lengths, luck
        self._now = 0.0
        self._numbers = itertools.count()
        self._starts: Counter[str] = Counter()
        self._heap: list[tuple[float, int, _Actor, int, bool]] = []
        self._actors: dict[int, _Actor] = {}
        self.intervals: list[Bar] = []
        self.busy_s = 0.0
        self.events = 0

    def now(self) -> float:
        return self._now

    def nodes(self) -> tuple[Node, ...]:
        return self._nodes

    def goes_on(self, schedule: Schedule) -> bool:
        return False

    def start(self, place: Place) -> None:
        engine_id = place.queue.engine.engine_id
        luck, self._starts[engine_id] = self._luck, self._starts[engine_id] + 1
        spread = luck.draw("load", engine_id, self._starts[engine_id]).gauss(0.0, luck.load_spread)
        loaded_at = self._now + place.option.speed.load_s * math.exp(spread)
        actor = _Actor(place, luck.slowness(engine_id), loaded_at, at=loaded_at)
        self._actors[place.number] = actor
        heapq.heappush(self._heap, (loaded_at, next(self._numbers), actor, 0, True))

    def run(self, place: Place, task: Task) -> None:
        actor = self._actors[place.number]
        lengths = self._lengths(task.shard)
        actor.left[task], actor.tokens[task] = len(lengths), sum(lengths)
        luck = self._luck.draw("fault", *named(task.shard), task.tries, task.deaths)
        if luck.random() * max(1, len(place.in_flight)) < self._luck.shard_faults:
            actor.dies_after[task] = luck.randrange(len(lengths))
        actor.has_capacity = False
        actor.queued.extend((length, task) for length in lengths)
        if self._now >= actor.loaded_at:
            actor.advance(self._now)
            self._go_on(actor)

    def stop(self, place: Place) -> None:
        actor = self._actors.pop(place.number, None)
        if actor is None:
            return
        actor.advance(self._now)
        actor.version += 1
        self.busy_s += actor.busy_s * place.spot.need.gpus
        self.intervals.append(
            Bar(
                node_id=place.spot.node_id,
                devices=place.spot.devices,
                gpus=place.spot.need.gpus,
                engine_id=place.queue.engine.engine_id,
                start=place.since,
                loaded=min(actor.loaded_at, self._now),
                end=self._now,
                lost=actor.lost,
            )
        )

    def wait(self) -> list[Event]:
        """The next thing that happens to a task or an actor."""
        while self._heap:
            self._now, _, actor, version, loads = heapq.heappop(self._heap)
            if actor.version != version or actor.place.number not in self._actors:
                continue
            self.events += 1
            if loads:
                self._go_on(actor)
                return [Loaded(actor.place), *self._hungry(actor)]
            actor.advance(self._now)
            events = [*self._trace_ended(actor), *self._hungry(actor)]
            if events:
                return events
        raise RuntimeError("nothing more can happen, and there are places still")

    def _hungry(self, actor: _Actor) -> Iterator[Event]:
        if not actor.has_capacity and len(actor.queued) < spare(actor.place.rows):
            actor.has_capacity = True
            yield HasCapacity(actor.place)

    def _trace_ended(self, actor: _Actor) -> Iterator[Event]:
        end, _, task = heapq.heappop(actor.ends)
        actor.step = end
        actor.left[task] -= 1
        if actor.left[task] == actor.dies_after.get(task, -1):
            actor.lost = True
            yield Lost(actor.place, "actor", "drawn to die")
            return
        self._go_on(actor)
        if not actor.left[task]:
            del actor.left[task]
            engine_s, actor.counted_s = actor.busy_s - actor.counted_s, actor.busy_s
            tokens = actor.tokens.pop(task)
            receipt = Receipt("", task.samples, tokens, engine_s, engine_s)
            yield Finished(actor.place, task, receipt)

    def _go_on(self, actor: _Actor) -> None:
        actor.fill(self._numbers)
        actor.version += 1
        if actor.ends:
            entry = (actor.next_end, next(self._numbers), actor, actor.version, False)
            heapq.heappush(self._heap, entry)


def named(shard: Shard) -> tuple[object, ...]:
    """What names a shard among those of a simulation; its hash would take longer than the simulation."""
    first, last = shard.questions[0].question_id, shard.questions[-1].question_id
    cells = (first, last, shard.sample_start, shard.sample_count)
    return shard.engine.engine_id, shard.benchmark, *cells
