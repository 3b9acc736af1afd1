"""From a configuration to the missing work: engines, shards, and their cost in tokens.

The plan keeps finished parts that hold wanted samples and cuts the rest into new shards (`cutting`). It is a
function of the configuration and the folder's parts, and of nothing else.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from raysweep.planning.backends import Choice
from raysweep.planning.cutting import Cut, finished_pieces, missing_shards
from raysweep.planning.grid import planned_engines, whole_stream
from raysweep.planning.lengths import Lengths, run_lengths
from raysweep.planning.placements import has_known_gpus, placements
from raysweep.run_config import Generation, RunConfig
from raysweep.shard import Shard, est_tokens
from raysweep.spec import EngineSpec
from raysweep.storage.part import Part


@dataclass(frozen=True)
class PlannedShard:
    """A shard as a row of plan.parquet. `shard` is None if the shard is finished."""

    shard_id: str
    engine_id: str
    benchmark: str
    question_ids: tuple[str, ...]
    sample_start: int
    sample_count: int
    est_tokens: int
    shard: Shard | None

    @property
    def samples(self) -> int:
        return len(self.question_ids) * self.sample_count


@dataclass(frozen=True)
class Plan:
    """Every shard of the run, finished or not.

    engines   those of the grid, then their controls
    backends  each engine's backend and the reason for it
    parts     all parts in the folder, including those that this configuration does not want
    """

    engines: tuple[EngineSpec, ...]
    shards: tuple[PlannedShard, ...]
    backends: tuple[Choice, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def to_do(self) -> tuple[Shard, ...]:
        return tuple(planned.shard for planned in self.shards if planned.shard is not None)

    @property
    def done(self) -> int:
        """The number of finished shards."""
        return sum(planned.shard is None for planned in self.shards)

    @property
    def grid(self) -> tuple[EngineSpec, ...]:
        """The engines without controls."""
        return tuple(engine for engine in self.engines if not engine.control)


def make_plan(config: RunConfig, parts: Iterable[Part]) -> Plan:
    """The run's plan, given the finished parts."""
    parts = tuple(parts)
    finished: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        finished[part.stream_id].append(part)
    specs, backends = planned_engines(config, finished)
    shards: list[PlannedShard] = []
    lengths = run_lengths(config)
    for engine in specs:
        tokens_s = _tokens_s(config, engine, lengths)
        for benchmark in config.sweep.benchmarks:
            whole = whole_stream(config, engine, benchmark)
            cut = cut_of(whole, config.generation, tokens_s)
            shards += _plan_stream(whole, finished[whole.stream_id], cut)
    return Plan(specs, tuple(shards), backends, parts)


def _plan_stream(whole: Shard, parts: list[Part], cut: Cut) -> Iterator[PlannedShard]:
    """The shards of one stream: first the finished ones, then the missing ones."""
    finished, missing = finished_pieces(whole, parts)
    for shard_id, piece in finished:
        yield _planned(shard_id, piece, None)
    if missing:
        for shard in missing_shards(whole, missing, cut):
            yield _planned(shard.shard_id, shard, shard)


def _tokens_s(config: RunConfig, engine: EngineSpec, lengths: Lengths) -> float | None:
    """Modelled tokens per second of a full actor. None without a named kind of GPU that holds it.

    The speed of a nominal CPU core is no estimate for this machine's cores.
    """
    if not has_known_gpus(config.cluster):
        return None
    places = placements(engine, config.generation, config.cluster, lengths)
    return places[0].speed.tokens_s() if places else None


def cut_of(whole: Shard, generation: Generation, tokens_s: float | None) -> Cut:
    """The size of a stream's shards: the configured size, or less if `shard_minutes` allow less.

    All samples of a question stay together if a full actor makes them within `shard_minutes`.
    """
    if tokens_s is None:
        return Cut(generation.shard_questions, generation.shard_samples)
    within = int(tokens_s * 60 * generation.shard_minutes * whole.samples / est_tokens(whole))
    samples = max(1, min(generation.shard_samples, within))
    return Cut(max(1, min(generation.shard_questions, within // samples)), samples)


def _planned(shard_id: str, piece: Shard, to_do: Shard | None) -> PlannedShard:
    return PlannedShard(
        shard_id=shard_id,
        engine_id=piece.engine.engine_id,
        benchmark=piece.benchmark,
        question_ids=tuple(question.question_id for question in piece.questions),
        sample_start=piece.sample_start,
        sample_count=piece.sample_count,
        est_tokens=est_tokens(piece),
        shard=to_do,
    )
