"""The waiting work of an engine: its tasks, their cost, and the losses they had.

A task is a shard with its history in this run. A task can be split between its samples: into fair pieces
near the end of an engine's work, and into halves to find a question that kills its actor.
"""

import math
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace

from raysweep.planning.cutting import split
from raysweep.planning.measured import Kind, Learnt
from raysweep.planning.placements import Option
from raysweep.shard import Shard, est_tokens, most_tokens
from raysweep.spec import EngineSpec


@dataclass(eq=False)
class Task:
    """A shard to run, and how often an actor was lost that ran it.

    lost_with_others  losses of an actor that also ran other tasks, any of which may be the cause
    lost_alone        losses of an actor that ran nothing else
    alone             it waits in quarantine and runs alone, because it may kill its actor
    refused           losses of an actor whose samples could not be written
    """

    shard: Shard
    lost_with_others: int = 0
    lost_alone: int = 0
    alone: bool = False
    refused: int = 0

    @property
    def samples(self) -> int:
        return self.shard.samples


@dataclass
class Amount:
    """Work on one benchmark.

    tokens  those that were decoded
    most    the most tokens that the samples may take
    """

    shards: int = 0
    samples: int = 0
    tokens: int = 0
    most: int = 0

    def add(self, shard: Shard, sign: int = +1, tokens: int = 0) -> None:
        """Add a shard, or take it away (-1)."""
        self.shards += sign
        self.samples += sign * shard.samples
        self.tokens += tokens
        self.most += sign * est_tokens(shard)

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.shards + other.shards,
            self.samples + other.samples,
            self.tokens + other.tokens,
            self.most + other.most,
        )


Amounts = dict[str, Amount]  # by benchmark


@dataclass(eq=False)
class EngineQueue:
    """An engine's tasks, and its history in this run.

    quarantine             tasks that run alone, once no other task waits
    quarantined_questions  ids of the questions that were given up
    rank                   engines of higher rank start first
    actors                 places that hold the engine now
    to_do, running, done   amounts of work, by benchmark
    rows_divisor           doubled each time that the GPU's memory was too small
    failed_loads           failed attempts to load the engine since the last success
    failed_at              time of the last of them
    bad_nodes              nodes on which they happened
    refused                attempts to write its samples that failed since the last success
    losses_in_a_row        loaded places that the work or the engine killed since the last success
    """

    engine: EngineSpec
    options: tuple[Option, ...]
    learnt: Learnt
    waiting: deque[Task] = field(default_factory=deque)
    quarantine: deque[Task] = field(default_factory=deque)
    quarantined_questions: set[str] = field(default_factory=set)
    rank: float = 0.0
    actors: int = 0
    to_do: Amounts = field(default_factory=lambda: defaultdict(Amount))
    running: Amounts = field(default_factory=lambda: defaultdict(Amount))
    done: Amounts = field(default_factory=lambda: defaultdict(Amount))
    rows_divisor: int = 1
    failed_loads: int = 0
    failed_at: float = -math.inf
    bad_nodes: set[str] = field(default_factory=set)
    refused: int = 0
    losses_in_a_row: int = 0

    def __post_init__(self) -> None:
        self._longest = 0.0

    def add(self, tasks: Iterable[Task], first: bool = False) -> None:
        """Queue tasks at the end, or at the front if `first`."""
        for task in reversed(list(tasks)) if first else tasks:
            queue = self.quarantine if task.alone else self.waiting
            (queue.appendleft if first else queue.append)(task)
            self._count(task, +1)

    def take(self, most: int, beside: Collection[Task]) -> Task | None:
        """The next task for a place that runs the tasks `beside`; None if there is none for it.

        A task of more than `most` samples is split, unless it is in quarantine.
        """
        if any(task.alone for task in beside):
            return None
        queue = self.waiting or (self.quarantine if not beside else None)
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
        """Remove and give all waiting tasks."""
        for queue in (self.waiting, self.quarantine):
            while queue:
                task = queue.popleft()
                self._count(task, -1)
                yield task

    def withdraw(self, unwanted: Callable[[Task], bool]) -> None:
        """Remove waiting tasks that nobody wants any more. Those that run are finished."""
        self.add([task for task in list(self.clear()) if not unwanted(task)])

    def left(self, benchmark: str) -> int:
        """Samples of a benchmark that wait or run."""
        amounts = (self.to_do, self.running)
        return sum(own[benchmark].samples for own in amounts if benchmark in own)

    def drop(self, question_id: str) -> list[Shard]:
        """Give up a question of this engine. Gives the shards that waited for it, which are removed."""
        self.quarantined_questions.add(question_id)
        good, bad = self.sift(list(self.clear()))
        self.add(good)
        return bad

    def sift(self, tasks: Iterable[Task]) -> tuple[list[Task], list[Shard]]:
        """The tasks without the questions that were given up, and a shard for each question left out."""
        good, bad = [], []
        for task in tasks:
            questions = task.shard.questions
            kept = tuple(q for q in questions if q.question_id not in self.quarantined_questions)
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
        """Estimated tokens of the waiting samples, from the lengths measured so far."""
        return self._tokens_of(self.to_do)

    @property
    def running_tokens(self) -> float:
        """Estimated tokens of the running samples, those already decoded included."""
        return self._tokens_of(self.running)

    def _tokens_of(self, amounts: Amounts) -> float:
        return sum(self.tokens_of(name, amount) for name, amount in amounts.items())

    def tokens_of(self, benchmark: str, amount: Amount) -> float:
        """Estimated tokens of some work on a benchmark."""
        if not amount.samples:
            return 0.0
        kind = Kind(benchmark, amount.most / amount.samples)
        return amount.samples * self.learnt.tokens_per_sample(self.engine.engine_id, kind)

    def waiting_s(self, option: Option) -> float:
        """Seconds that one actor with a full batch needs for the waiting work."""
        return self.seconds_of(self.waiting_tokens, option)

    def seconds_of(self, tokens: float, option: Option) -> float:
        """Seconds that one actor with a full batch needs for `tokens`, by the speed measured so far."""
        return tokens / option.speed.tokens_s() * self._slowness

    def longest_s(self, option: Option) -> float:
        """Seconds that the longest possible trace takes in a full batch."""
        tokens = self._longest
        return tokens * option.speed.rows / option.speed.tokens_s() * self._slowness

    @property
    def _slowness(self) -> float:
        return self.learnt.slowness(self.engine.engine_id)

    def begin(self, task: Task) -> None:
        self.running[task.shard.benchmark].add(task.shard)

    def end(self, task: Task) -> None:
        """Note that a task has stopped running, finished or not."""
        self.running[task.shard.benchmark].add(task.shard, -1)

    def finish(self, task: Task, tokens: int) -> None:
        self.done[task.shard.benchmark].add(task.shard, tokens=tokens)

    def _count(self, task: Task, sign: int) -> None:
        self.to_do[task.shard.benchmark].add(task.shard, sign)
        self._longest = max(self._longest, most_tokens(task.shard.decoding))
