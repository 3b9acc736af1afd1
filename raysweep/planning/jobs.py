"""Groups missing shards into jobs: an engine, its shards, and the ways to run it on the cluster."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from raysweep.planning.lengths import Lengths
from raysweep.planning.loads import NO_LOADS, Loads
from raysweep.planning.measured import Kind, Learnt, learnt_of
from raysweep.planning.placements import Option, modelled, placements, seen_by
from raysweep.run_config import Cluster, Generation
from raysweep.shard import Shard
from raysweep.spec import EngineSpec
from raysweep.storage.part import Part


@dataclass(frozen=True)
class Job:
    """An engine, the ways to run it (at least one), and its missing shards.

    rank  engines of higher rank start first, those of equal rank by their work
    """

    engine: EngineSpec
    options: tuple[Option, ...]
    shards: tuple[Shard, ...]
    rank: float = 0.0


def jobs_of(
    shards: Iterable[Shard],
    generation: Generation,
    cluster: Cluster,
    lengths: Lengths,
    loads: Loads = NO_LOADS,
) -> tuple[Job, ...]:
    """One job per engine of the shards.

    lengths  of the run's sequences, as in the plan (`lengths.run_lengths`)
    loads    of earlier sessions

    Raises ValueError for an engine that fits on no GPU of the cluster. See `unfit.held`.
    """
    by_engine: dict[str, list[Shard]] = defaultdict(list)
    for shard in shards:
        by_engine[shard.engine.engine_id].append(shard)
    return tuple(_job(theirs, generation, cluster, lengths, loads) for theirs in by_engine.values())


def engines_of(shards: Iterable[Shard]) -> tuple[EngineSpec, ...]:
    """The engines of some shards, each once."""
    return tuple({shard.engine.engine_id: shard.engine for shard in shards}.values())


def _job(
    shards: Sequence[Shard],
    generation: Generation,
    cluster: Cluster,
    lengths: Lengths,
    loads: Loads,
) -> Job:
    engine = shards[0].engine
    places = placements(engine, generation, cluster, lengths, loads)
    if not places:
        raise ValueError(f"{engine.engine_id} fits on no GPU of the cluster")
    options = tuple(place.option(seen_by(engine, cluster)) for place in places)
    return Job(engine, options, tuple(shards))


def learnt_from(parts: Iterable[Part], jobs: Iterable[Job], kinds: Mapping[str, Kind]) -> Learnt:
    """What finished parts tell about the jobs that remain.

    kinds  of all streams of the run that have parts (`estimate.kinds_of`)
    """
    return learnt_of(parts, kinds, modelled({job.engine.engine_id: job.options for job in jobs}))
