"""What a driver learns of a finished shard; the samples themselves are in the store."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Receipt:
    """A shard whose part is published.

    tokens    decoded for it, forks included
    wall_s    seconds from its beginning to its part
    engine_s  seconds in which its engine decoded, since the receipt before this one
    warnings  what is to be known of the engine that made the samples
    """

    shard_id: str
    samples: int
    tokens: int
    wall_s: float
    engine_s: float = 0.0
    warnings: tuple[str, ...] = ()
