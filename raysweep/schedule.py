"""Which engine gets the next actor, and which shard an actor runs next: decisions without a clock.

Engines start longest-remaining-work first; an actor place that finds every engine held makes a replica
of the one with most work waiting; an engine without waiting work gets none. The driver applies these
decisions to Ray actors; anything else that can hold shards may apply them too.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from raysweep.plan import est_tokens
from raysweep.spec import EngineSpec, Shard


@dataclass(eq=False)
class EngineQueue:
    """An engine's waiting shards; `actors` hold it now, `deaths` have happened since its last success."""

    engine: EngineSpec
    waiting: deque[Shard] = field(default_factory=deque)
    actors: int = 0
    deaths: int = 0
    attempts: dict[str, int] = field(default_factory=dict)  # by shard id

    @property
    def waiting_tokens(self) -> int:
        return sum(est_tokens(shard) for shard in self.waiting)


@dataclass(frozen=True)
class Failure:
    """A shard that is given up in this run, and why."""

    shard_id: str
    engine_id: str
    reason: str


class Schedule:
    """All waiting work, by engine."""

    def __init__(self, shards: Iterable[Shard], max_attempts: int):
        self.max_attempts = max_attempts
        self.queues: dict[str, EngineQueue] = {}
        self.failures: list[Failure] = []
        for shard in shards:
            key = shard.engine.engine_id
            self.queues.setdefault(key, EngineQueue(shard.engine)).waiting.append(shard)

    def next_engine(self) -> EngineQueue | None:
        """The engine that a free actor place should load, or None if no work waits for one."""
        candidates = [queue for queue in self.queues.values() if queue.waiting]
        return max(
            candidates,
            key=lambda queue: (queue.actors == 0, queue.waiting_tokens / (queue.actors + 1)),
            default=None,
        )

    def succeeded(self, queue: EngineQueue) -> None:
        queue.deaths = 0

    def failed(self, queue: EngineQueue, shard: Shard, reason: str) -> None:
        """A shard's attempt failed: it waits for another, or is given up."""
        tries = queue.attempts.get(shard.shard_id, 0) + 1
        queue.attempts[shard.shard_id] = tries
        if tries < self.max_attempts:
            queue.waiting.appendleft(shard)
        else:
            self._give_up(queue, shard, f"failed {tries} times, last: {reason}")

    def actor_died(self, queue: EngineQueue, in_flight: Iterable[Shard], reason: str) -> None:
        """An actor and what it was running are lost; an engine that only dies is given up whole."""
        queue.deaths += 1
        for shard in in_flight:
            self.failed(queue, shard, reason)
        if queue.deaths >= self.max_attempts:
            while queue.waiting:
                shard = queue.waiting.popleft()
                self._give_up(queue, shard, f"its engine died {queue.deaths} times: {reason}")

    def _give_up(self, queue: EngineQueue, shard: Shard, reason: str) -> None:
        self.failures.append(Failure(shard.shard_id, queue.engine.engine_id, reason))
