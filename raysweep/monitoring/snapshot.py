"""How far a generate stage is: the numbers that displays and metrics show at one moment.

Totals count from the start of this session. Numbers of waiting shards and of tokens left refer to the shards
that the plan lists as missing. A snapshot holds plain values only and does not depend on Ray.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from raysweep.scheduling.loss_kinds import LossKind


@dataclass(frozen=True)
class EngineProgress:
    """One engine on one benchmark.

    model, weights, kv_policy  the name and slugs that make up the engine's id
    samples_left               samples that are running or waiting; an adaptive run adds more after each round
    tokens                     decoded tokens of the samples written
    tokens_left                estimated tokens of the samples that are running or waiting
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
    samples_left: int = 0
    tokens: int = 0
    tokens_left: int = 0


@dataclass(frozen=True)
class Snapshot:
    """The whole session.

    faults        lost actors, by the kind of loss
    retries       shards that were queued again
    seconds_left  None while there is no estimate
    """

    engines: tuple[EngineProgress, ...]
    actors: int
    tokens_s: float
    faults: Mapping[LossKind, int] = field(default_factory=dict)
    retries: int = 0
    seconds_left: float | None = None
    wall_s: float = 0.0
