"""A world under a virtual clock: its actors load, decode and die as real ones do, without taking real time.

An actor decodes up to `rows` traces together. A step takes `step_s + rows * row_s` and gives each trace a
token (`planning.speed.Speed`). A trace of n tokens that begins at step s therefore ends at step s + n, and
only the ends of traces are events. Faults and lengths depend on the seed and on the names of engine and
shard, never on the order of events, so two schedules are compared under the same random deviations.
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

# Gives the tokens of each trace of a shard, its forks included.
Lengths = Callable[[Shard], Sequence[int]]


@dataclass(frozen=True)
class Luck:
    """Random deviations from the model, the same for every schedule with the same seed.

    shard_faults  share of the shards that kill their actor, and with it all the tasks it runs
    load_spread   standard deviation of the logarithm of an actor's time to load
    speed_spread  standard deviation of the logarithm of an engine's time per step
    """

    seed: int = 0
    shard_faults: float = 0.0
    load_spread: float = 0.0
    speed_spread: float = 0.0

    def draw(self, *what: object) -> random.Random:
        return random.Random(repr((self.seed, *what)))

    def slowness(self, engine_id: str) -> float:
        """An engine's time per step, divided by the modelled one."""
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
    """An engine that decodes.

    at          time up to which its state is computed
    step        decoding steps until then
    queued      traces that wait for a row, each with its tokens and its task
    ends        heap of the traces that are decoded, by the step at which they end
    left        traces of each task that have not ended
    dies_after  for a task that kills the actor: traces that are left when it does
    version     raised when its next event changes, so that older heap entries are ignored
    busy_s      seconds in which it decoded, of which `counted_s` are in a receipt
    """

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
        """Decode until `now`. No trace ends before."""
        if self.ends and now > self.at:
            self.step += (now - self.at) / self.step_s
            self.busy_s += now - self.at
        self.at = max(self.at, now)

    def fill(self, numbers: "itertools.count[int]") -> None:
        """Start queued traces in the free rows."""
        while self.queued and len(self.ends) < self.place.rows:
            tokens, task = self.queued.popleft()
            heapq.heappush(self.ends, (self.step + tokens, next(numbers), task))

    @property
    def next_end(self) -> float:
        return self.at + max(0.0, self.ends[0][0] - self.step) * self.step_s


class SimulatedWorld:
    """Simulated actors on nodes that are all alive from the start.

    intervals  a bar for each place that has ended
    busy_s     GPU seconds in which a place that has ended was decoding
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
        luck = self._luck.draw("fault", *named(task.shard), task.lost_with_others, task.lost_alone)
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
        """The next events of an actor."""
        while self._heap:
            self._now, _, actor, version, loads = heapq.heappop(self._heap)
            if actor.version != version or actor.place.number not in self._actors:
                continue
            self.events += 1
            if loads:
                self._go_on(actor)
                return [Loaded(actor.place), *self._capacity_event(actor)]
            actor.advance(self._now)
            events = [*self._trace_ended(actor), *self._capacity_event(actor)]
            if events:
                return events
        raise RuntimeError("no event is left, and places are still held")

    def _capacity_event(self, actor: _Actor) -> Iterator[Event]:
        if not actor.has_capacity and len(actor.queued) < spare(actor.place.rows):
            actor.has_capacity = True
            yield HasCapacity(actor.place)

    def _trace_ended(self, actor: _Actor) -> Iterator[Event]:
        end, _, task = heapq.heappop(actor.ends)
        actor.step = end
        actor.left[task] -= 1
        if actor.left[task] == actor.dies_after.get(task, -1):
            actor.lost = True
            yield Lost(actor.place, "actor", "its death was drawn at random")
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
    """A key for a shard within a simulation. Its hash would take longer than the simulation itself."""
    first, last = shard.questions[0].question_id, shard.questions[-1].question_id
    cells = (first, last, shard.sample_start, shard.sample_count)
    return shard.engine.engine_id, shard.benchmark, *cells
