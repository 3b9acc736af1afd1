"""What the loss of an actor means: for its shards, for its engine, for a question that kills.

A shard that was lost with others may have killed them, or been killed with them. It is tried again, at
last alone; what then kills its actor is halved until a single question is left, and that is given up.
Nobody is blamed for a node that went away. A GPU too small for so many rows gets half as many.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysweep.scheduling.queues import EngineQueue, Task
from raysweep.shard import Shard

LOAD, OUT_OF_MEMORY, STORAGE = "load", "out_of_memory", "storage"
HALVINGS = 6  # of 64 questions, till one is left
BLAMELESS = {"node", STORAGE}  # kinds of loss that no shard and no engine can have caused


@dataclass(frozen=True)
class Failure:
    """A shard that is given up in this run, and why; `question_id` if it is for a question that kills."""

    shard_id: str
    engine_id: str
    reason: str
    benchmark: str
    question_id: str | None = None


@dataclass(frozen=True)
class Loss:
    """A place that was lost: what it was at and where, whether its engine was loaded, when it had started."""

    tasks: tuple[Task, ...]
    node_id: str
    kind: str
    reason: str
    loaded: bool
    rows_divisor: int
    since: float


class Losses:
    """Faults by kind, and what was given up for them."""

    def __init__(self, max_attempts: int):
        self.max_attempts = max_attempts
        self.faults: Counter[str] = Counter()
        self.failures: list[Failure] = []
        self.retries = 0  # shards that were queued again
        self.refused = 0  # times that the storage took no samples, since it last did
        self.refusal = ""  # and why

    def succeeded(self, queue: EngineQueue) -> None:
        """The engine works, and so does the storage."""
        queue.failed_loads = queue.deaths = self.refused = 0

    @property
    def stopped(self) -> str:
        """Why nothing more is to be begun; "" where it may."""
        return self.refusal if self.refused >= self.max_attempts else ""

    def take_in(self, queue: EngineQueue, loss: Loss, now: float) -> None:
        """Queue again what a lost place was at, or give it up."""
        kind = loss.kind if loss.loaded or loss.kind in BLAMELESS else LOAD
        self.faults[kind] += 1
        tasks, known = queue.sift(loss.tasks)
        for shard in known:
            question = shard.questions[0].question_id
            self._give_up(queue, [shard], f"its question {question} was given up", question)
        self.retries += len(tasks)
        if kind == STORAGE:
            self.refused, self.refusal = self.refused + 1, loss.reason
        if kind == LOAD:
            self._failed_to_load(queue, tasks, loss, now)
        elif kind in BLAMELESS or known:
            queue.add(tasks, first=True)
        elif kind == OUT_OF_MEMORY and loss.rows_divisor < most_rows(queue):
            queue.rows_divisor = max(queue.rows_divisor, 2 * loss.rows_divisor)
            queue.add(tasks, first=True)
        else:
            self._died(queue, tasks, loss.reason)

    def _failed_to_load(
        self, queue: EngineQueue, tasks: Sequence[Task], loss: Loss, now: float
    ) -> None:
        """Places that began before an earlier failure was known make no further attempt."""
        queue.add(tasks, first=True)
        queue.bad_nodes.add(loss.node_id)
        if loss.since >= queue.failed_at:
            queue.failed_loads, queue.failed_at = queue.failed_loads + 1, now
        if queue.failed_loads >= self.max_attempts:
            said = f"its engine failed to load {queue.failed_loads} times, last: {loss.reason}"
            self._give_up_engine(queue, said)

    def _died(self, queue: EngineQueue, tasks: Sequence[Task], reason: str) -> None:
        """An engine that dies more often than a single question can have caused is given up whole."""
        for task in tasks:
            if len(tasks) > 1:
                queue.add([self._with_others(task)])
            else:
                self._guilty(queue, replace(task, deaths=task.deaths + 1), reason)
        queue.deaths += 1
        if queue.deaths > HALVINGS + 2 * self.max_attempts:
            self._give_up_engine(queue, f"its engine died {queue.deaths} times, last: {reason}")

    def _with_others(self, task: Task) -> Task:
        """A task that was lost beside others: it waits again, and runs alone the last time but one."""
        tries = task.tries + 1
        return replace(
            task, tries=tries, alone=task.alone or tries >= max(1, self.max_attempts - 1)
        )

    def _guilty(self, queue: EngineQueue, task: Task, reason: str) -> None:
        """A task that was lost by itself: halves of it wait, or a single question till its last attempt."""
        questions, question = task.shard.questions, task.shard.questions[-1].question_id
        if len(questions) > 1:
            middle = len(questions) // 2
            halves = (questions[:middle], questions[middle:])
            shards = [replace(task.shard, questions=half) for half in halves]
            queue.add([Task(shard, task.tries, alone=True) for shard in shards], first=True)
        elif task.deaths < self.max_attempts:
            queue.add([replace(task, alone=True)], first=True)
        else:
            said = f"its question {question} failed {task.deaths} times alone, last: {reason}"
            self._give_up(queue, [task.shard, *queue.drop(question)], said, question)

    def _give_up_engine(self, queue: EngineQueue, reason: str) -> None:
        self._give_up(queue, [task.shard for task in queue.clear()], reason)

    def _give_up(
        self, queue: EngineQueue, shards: Iterable[Shard], reason: str, question: str | None = None
    ) -> None:
        engine_id = queue.engine.engine_id
        self.failures += [
            Failure(shard.shard_id, engine_id, reason, shard.benchmark, question)
            for shard in shards
        ]


def most_rows(queue: EngineQueue) -> int:
    return max(option.speed.rows for option in queue.options)
