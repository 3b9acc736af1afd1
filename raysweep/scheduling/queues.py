"""The waiting work of an engine: tasks, what they cost, and what happened to them.

A task is a shard on its way. Its samples are cells like any others, so that a task may be handed out in
pieces: fair pieces when an engine's work runs out, and halves in search of a question that kills.
"""

import math
from collections import defaultdict, deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from raysweep.planning.cutting import split
from raysweep.planning.gpu_options import Option
from raysweep.planning.measured import Learnt
from raysweep.shard import Shard, est_tokens
from raysweep.spec import EngineSpec


@dataclass(eq=False)
class Task:
    """A shard to run, and how often an actor was lost with it.

    tries   beside other tasks, so that nobody knows by whose fault
    deaths  with nothing beside it
    alone   it may take others down with it
    """

    shard: Shard
    tries: int = 0
    deaths: int = 0
    alone: bool = False

    @property
    def samples(self) -> int:
        return self.shard.samples


@dataclass
class Amount:
    """Work on one benchmark."""

    shards: int = 0
    samples: int = 0
    tokens: int = 0

    def add(self, shards: int, samples: int, tokens: int = 0) -> None:
        self.shards += shards
        self.samples += samples
        self.tokens += tokens


Amounts = dict[str, Amount]  # by benchmark


@dataclass(eq=False)
class EngineQueue:
    """An engine's tasks, and its history in this run.

    suspects         tasks that run alone, when no other waits
    poisoned         questions that were given up
    actors           places that hold the engine now
    to_do, running, done  how much, by benchmark
    rows_divisor     2 for each time that the GPU's memory was too small
    failed_loads     attempts to load the engine that failed since the last success
    failed_at        when the last one did
    bad_nodes        where that happened
    deaths           places that were lost after that, since the last success
    """

    engine: EngineSpec
    options: tuple[Option, ...]
    learnt: Learnt
    waiting: deque[Task] = field(default_factory=deque)
    suspects: deque[Task] = field(default_factory=deque)
    poisoned: set[str] = field(default_factory=set)
    actors: int = 0
    to_do: Amounts = field(default_factory=lambda: defaultdict(Amount))
    running: Amounts = field(default_factory=lambda: defaultdict(Amount))
    done: Amounts = field(default_factory=lambda: defaultdict(Amount))
    rows_divisor: int = 1
    failed_loads: int = 0
    failed_at: float = -math.inf
    bad_nodes: set[str] = field(default_factory=set)
    deaths: int = 0

    def __post_init__(self) -> None:
        self._at_most: dict[str, float] = {}

    def add(self, tasks: Iterable[Task], first: bool = False) -> None:
        """Queue tasks, last or first of all."""
        for task in reversed(list(tasks)) if first else tasks:
            queue = self.suspects if task.alone else self.waiting
            (queue.appendleft if first else queue.append)(task)
            self._count(task, +1)

    def take(self, most: int, beside: Collection[Task]) -> Task | None:
        """The next task for a place that is at those `beside` it, of about `most` samples; None: none."""
        if any(task.alone for task in beside):
            return None
        queue = self.waiting or (self.suspects if not beside else None)
        if not queue:
            return None
        task = queue.popleft()
        self._count(task, -1)
        if task.samples > most and not task.alone:
            first, *rest = split(task.shard, most)
            self.add([replace(task, shard=shard) for shard in rest], first=True)
            task = replace(task, shard=first)
        return task

    def clear(self) -> Iterator[Task]:
        """Take out all that waits."""
        for queue in (self.waiting, self.suspects):
            while queue:
                task = queue.popleft()
                self._count(task, -1)
                yield task

    def drop(self, question_id: str) -> list[Shard]:
        """Give up a question of this engine: what waited of it is taken out."""
        self.poisoned.add(question_id)
        good, bad = self.sift(list(self.clear()))
        self.add(good)
        return bad

    def sift(self, tasks: Iterable[Task]) -> tuple[list[Task], list[Shard]]:
        """The tasks without the questions that were given up; what they were to make of each of those."""
        good, bad = [], []
        for task in tasks:
            questions = task.shard.questions
            kept = tuple(q for q in questions if q.question_id not in self.poisoned)
            bad += [replace(task.shard, questions=(q,)) for q in questions if q not in kept]
            if len(kept) == len(questions):
                good.append(task)
            elif kept:
                good.append(replace(task, shard=replace(task.shard, questions=kept)))
        return good, bad

    @property
    def waiting_samples(self) -> int:
        return sum(amount.samples for amount in self.to_do.values())

    @property
    def waiting_tokens(self) -> float:
        """Tokens that what waits will come to, by what is known of their lengths."""
        return self._tokens_of(self.to_do)

    @property
    def running_tokens(self) -> float:
        """Tokens that what runs comes to in all, likewise."""
        return self._tokens_of(self.running)

    def _tokens_of(self, amounts: Amounts) -> float:
        return sum(
            amount.samples * self.tokens_per_sample(name) for name, amount in amounts.items()
        )

    def tokens_per_sample(self, benchmark: str) -> float:
        at_most = self._at_most[benchmark]
        return self.learnt.tokens_per_sample(self.engine.engine_id, benchmark, at_most)

    def waiting_s(self, option: Option) -> float:
        """Seconds that one actor would take for what waits, its batch full."""
        return self.seconds_of(self.waiting_tokens, option)

    def seconds_of(self, tokens: float, option: Option) -> float:
        """Seconds that an actor takes for so many tokens, its batch full, by what is known of its speed."""
        return tokens / option.speed.tokens_s() * self._slowness

    def longest_s(self, option: Option) -> float:
        """Seconds of a trace that is as long as may be, in a full batch."""
        tokens = max(self._at_most.values(), default=0.0)
        return tokens * option.speed.rows / option.speed.tokens_s() * self._slowness

    @property
    def _slowness(self) -> float:
        return self.learnt.slowness(self.engine.engine_id)

    def begin(self, task: Task) -> None:
        self.running[task.shard.benchmark].add(1, task.samples)

    def end(self, task: Task) -> None:
        """A task runs no more, however it went."""
        self.running[task.shard.benchmark].add(-1, -task.samples)

    def finish(self, task: Task, tokens: int) -> None:
        self.done[task.shard.benchmark].add(1, task.samples, tokens)

    def _count(self, task: Task, sign: int) -> None:
        name = task.shard.benchmark
        self.to_do[name].add(sign, sign * task.samples)
        if name not in self._at_most:
            self._at_most[name] = est_tokens(task.shard) / task.samples
