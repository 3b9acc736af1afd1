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

    actors  those that hold the engine now
    tries   lost attempts by shard id
    deaths  actors that died before their first finished shard, since any of them finished one
    """

    engine: EngineSpec
    waiting: deque[Shard] = field(default_factory=deque)
    actors: int = 0
    tries: dict[str, int] = field(default_factory=dict)
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
        queue.deaths = 0

    def actor_lost(
        self, queue: EngineQueue, at_work: Iterable[Shard], worked: bool, reason: str
    ) -> None:
        """An actor is gone with what it was at; `worked` if it had finished any shard before.

        Its shards wait for another attempt or are given up; an engine whose actors only die is given
        up whole.
        """
        for shard in at_work:
            self._lose(queue, shard, reason)
        queue.deaths += not worked
        if queue.deaths >= self.max_attempts:
            while queue.waiting:
                said = f"its engine died {queue.deaths} times, last: {reason}"
                self._give_up(queue, queue.waiting.popleft(), said)

    def _lose(self, queue: EngineQueue, shard: Shard, reason: str) -> None:
        tries = queue.tries.get(shard.shard_id, 0) + 1
        queue.tries[shard.shard_id] = tries
        if tries < self.max_attempts:
            queue.waiting.append(shard)
        else:
            self._give_up(queue, shard, f"failed {tries} times, last: {reason}")

    def _give_up(self, queue: EngineQueue, shard: Shard, reason: str) -> None:
        self.failures.append(Failure(shard.shard_id, queue.engine.engine_id, reason))
