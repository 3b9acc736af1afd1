"""Which engine gets the next actor, and which shard an actor runs next: decisions without a clock.

Engines start longest-remaining-work first; an actor place that finds every engine held makes a replica
of the one with most work waiting; an engine without waiting work gets none. A shard that was lost goes
to the end of its engine's queue and from then on runs alone, so that it can take no other down with it.
The driver applies these decisions to Ray actors; anything else that can hold shards may apply them too.
"""

from collections import deque
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from raysweep.plan import est_tokens
from raysweep.spec import EngineSpec, Shard


@dataclass(eq=False)
class EngineQueue:
    """An engine's waiting shards, and its history in this run.

    actors        those that hold the engine now
    tries         lost attempts by shard id
    failed_loads  actors that were lost before their engine was loaded, since the last success
    deaths        actors that were lost after that, since the last success
    """

    engine: EngineSpec
    waiting: deque[Shard] = field(default_factory=deque)
    actors: int = 0
    tries: dict[str, int] = field(default_factory=dict)
    failed_loads: int = 0
    deaths: int = 0

    @property
    def waiting_work(self) -> int:
        """Relative cost of what waits: each token reads every parameter."""
        return self.engine.model.params * sum(est_tokens(shard) for shard in self.waiting)

    def take(self, beside: Collection[Shard]) -> Shard | None:
        """The next shard for an actor that is at those `beside` it, if one may join them."""
        if not self.waiting:
            return None
        together = [self.waiting[0], *beside]
        if beside and any(shard.shard_id in self.tries for shard in together):
            return None
        return self.waiting.popleft()


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
            key=lambda queue: (queue.actors == 0, queue.waiting_work / (queue.actors + 1)),
            default=None,
        )

    def succeeded(self, queue: EngineQueue) -> None:
        """A shard came back: the engine works."""
        queue.failed_loads = queue.deaths = 0

    def load_failed(self, queue: EngineQueue, shards: Collection[Shard], reason: str) -> None:
        """An actor was lost before it could begin with its shards: not their fault, they wait again."""
        queue.waiting.extendleft(reversed(list(shards)))
        queue.failed_loads += 1
        if queue.failed_loads >= self.max_attempts:
            said = f"its engine failed to load {queue.failed_loads} times, last: {reason}"
            self._give_up_engine(queue, said)

    def actor_lost(self, queue: EngineQueue, shards: Iterable[Shard], reason: str) -> None:
        """An actor was lost, perhaps by the fault of one of its shards: each has lost an attempt.

        An engine on which shard after shard is lost is given up whole.
        """
        for shard in shards:
            tries = queue.tries[shard.shard_id] = queue.tries.get(shard.shard_id, 0) + 1
            if tries < self.max_attempts:
                queue.waiting.append(shard)
            else:
                self._give_up(queue, shard, f"failed {tries} times, last: {reason}")
        queue.deaths += 1
        if queue.deaths >= self.max_attempts**2:
            self._give_up_engine(queue, f"its engine died {queue.deaths} times, last: {reason}")

    def _give_up_engine(self, queue: EngineQueue, reason: str) -> None:
        while queue.waiting:
            self._give_up(queue, queue.waiting.popleft(), reason)

    def _give_up(self, queue: EngineQueue, shard: Shard, reason: str) -> None:
        self.failures.append(Failure(shard.shard_id, queue.engine.engine_id, reason))
