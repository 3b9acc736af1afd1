"""How far a generate stage is: the numbers that displays and metrics show, at one moment.

Totals are of this session, from its start; `waiting` and `left` are of the plan's missing shards. The driver
makes a snapshot, whoever shows it reads it: it holds plain values only and knows nothing of Ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PROGRESS = "progress.json"  # where the driver notes one, now and then


@dataclass(frozen=True)
class EngineProgress:
    """One engine on one benchmark. Tokens are decoded ones; those left are the plan's estimate.

    model, weights and kv_policy are the names and slugs that the engine's id is made of.
    """

    engine_id: str
    model: str
    weights: str
    kv_policy: str
    benchmark: str
    shards_done: int = 0
    shards_running: int = 0
    shards_failed: int = 0
    shards_waiting: int = 0
    samples: int = 0
    tokens: int = 0
    tokens_left: int = 0


@dataclass(frozen=True)
class Snapshot:
    """The whole session.

    faults        lost actors, by the kind of their loss
    retries       shards that were queued again
    seconds_left  None while nobody can tell
    """

    engines: tuple[EngineProgress, ...]
    actors: int
    tokens_s: float
    faults: Mapping[str, int] = field(default_factory=dict)
    retries: int = 0
    seconds_left: float | None = None
    wall_s: float = 0.0
