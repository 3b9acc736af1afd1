"""What the loss of an actor means for its shards, for its engine, and for a question that kills actors.

A shard that was lost together with others may be the cause or a victim. It is tried again, and its last
attempts run alone in quarantine. A shard that is lost alone is halved until a single question is left, and
that question is given up. The loss of a node or a server counts against no shard and no engine. An engine
that runs out of GPU memory decodes half as many rows from then on. Samples that cannot be written are
nobody's fault either. They stop the work, though, after too many in a row of one engine or of all, or twice
as many of one shard.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from raysweep.scheduling.loss_kinds import BLAMELESS, LossKind
from raysweep.scheduling.queues import EngineQueue, Task
from raysweep.shard import Shard

# Losses that it takes to find one question among 64 by halving.
HALVINGS = 6


@dataclass(frozen=True)
class Failure:
    """A shard that is given up in this run, and why.

    question_id  the question that kills its actor, if that is the reason
    """

    shard_id: str
    engine_id: str
    reason: str
    benchmark: str
    question_id: str | None = None


@dataclass(frozen=True)
class Loss:
    """A place that was lost.

    tasks   what it ran
    loaded  whether its engine had been loaded
    since   when the place was started
    """

    tasks: tuple[Task, ...]
    node_id: str
    kind: LossKind
    reason: str
    loaded: bool
    rows_divisor: int
    since: float


class Losses:
    """Counts the losses by kind, and holds the shards that were given up.

    retries  shards that were queued again
    refused  attempts to write samples that failed since the last success of all, or of one engine;
             `refusal` is the last reason
    """

    def __init__(self, max_attempts: int):
        self.max_attempts = max_attempts
        self.faults: Counter[LossKind] = Counter()
        self.failures: list[Failure] = []
        self.retries = 0
        self.refused = 0
        self.refusal = ""

    def succeeded(self, queue: EngineQueue) -> None:
        """Note that the engine works, and that the storage accepts samples."""
        queue.failed_loads = queue.losses_in_a_row = queue.refused = 0
        if not self.stopped:
            self.refused = 0

    @property
    def stopped(self) -> str:
        """Why no more work may start, or "" if it may."""
        return self.refusal if self.refused >= self.max_attempts else ""

    def take_in(self, queue: EngineQueue, loss: Loss, now: float) -> None:
        """Queue the tasks of a lost place again, or give them up."""
        kind: LossKind = loss.kind if loss.loaded or loss.kind in BLAMELESS else "load"
        self.faults[kind] += 1
        tasks, known = queue.sift(loss.tasks)
        for shard in known:
            question = shard.questions[0].question_id
            self._give_up(queue, [shard], f"its question {question} was given up", question)
        self.retries += len(tasks)
        if kind == "storage":
            tasks = [replace(task, refused=task.refused + 1) for task in tasks]
            queue.refused += 1
            of_one = max((task.refused for task in tasks), default=0) // 2
            self.refused = max(self.refused + 1, queue.refused, of_one)
            self.refusal = loss.reason
        if kind == "load":
            self._failed_to_load(queue, tasks, loss, now)
        elif kind in BLAMELESS or known:
            queue.add(tasks, first=True)
        elif kind == "out_of_memory" and loss.rows_divisor < most_rows(queue):
            queue.rows_divisor = max(queue.rows_divisor, 2 * loss.rows_divisor)
            queue.add(tasks, first=True)
        else:
            self._blame(queue, tasks, loss.reason)

    def _failed_to_load(
        self, queue: EngineQueue, tasks: Sequence[Task], loss: Loss, now: float
    ) -> None:
        """Count one failed attempt. Places that started before the last failure belong to that attempt."""
        queue.add(tasks, first=True)
        queue.bad_nodes.add(loss.node_id)
        if loss.since >= queue.failed_at:
            queue.failed_loads, queue.failed_at = queue.failed_loads + 1, now
        if queue.failed_loads >= self.max_attempts:
            why = f"its engine failed to load {queue.failed_loads} times, last: {loss.reason}"
            self._give_up_engine(queue, why)

    def _blame(self, queue: EngineQueue, tasks: Sequence[Task], reason: str) -> None:
        """Count a loss that the tasks or their engine caused.

        One question can cause only so many losses. An engine with more of them in a row is given up.
        """
        for task in tasks:
            if len(tasks) > 1:
                queue.add([self._lost_with_others(task)])
            else:
                self._lost_alone(queue, replace(task, lost_alone=task.lost_alone + 1), reason)
        queue.losses_in_a_row += 1
        if queue.losses_in_a_row > HALVINGS + 2 * self.max_attempts:
            why = f"its engine died {queue.losses_in_a_row} times, last: {reason}"
            self._give_up_engine(queue, why)

    def _lost_with_others(self, task: Task) -> Task:
        """The task as it waits again. After `max_attempts` - 1 such losses it runs alone."""
        losses = task.lost_with_others + 1
        alone = task.alone or losses >= max(1, self.max_attempts - 1)
        return replace(task, lost_with_others=losses, alone=alone)

    def _lost_alone(self, queue: EngineQueue, task: Task, reason: str) -> None:
        """Queue the halves of a task that was lost alone, or retry its single question, or give that up."""
        questions, question = task.shard.questions, task.shard.questions[-1].question_id
        if len(questions) > 1:
            middle = len(questions) // 2
            halves = (questions[:middle], questions[middle:])
            shards = [replace(task.shard, questions=half) for half in halves]
            queue.add(
                [Task(shard, task.lost_with_others, alone=True) for shard in shards], first=True
            )
        elif task.lost_alone < self.max_attempts:
            queue.add([replace(task, alone=True)], first=True)
        else:
            why = f"its question {question} failed {task.lost_alone} times alone, last: {reason}"
            self._give_up(queue, [task.shard, *queue.drop(question)], why, question)

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
