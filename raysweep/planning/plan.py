"""From a configuration to the missing work: engines, shards, and their cost in tokens.

The plan keeps finished parts that hold wanted samples and cuts the rest into new shards (`cutting`). It is a
function of the configuration, the folder's parts and what is wanted (`demand`), and of nothing else.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from raysweep.planning.backends import Choice
from raysweep.planning.cutting import (
    Cut,
    Piece,
    cells_of,
    count,
    finished_pieces,
    missing_cells,
    missing_shards,
)
from raysweep.planning.demand import Demands, Segment, everything
from raysweep.planning.grid import made_streams, planned_engines, whole_stream
from raysweep.planning.lengths import Lengths, run_lengths
from raysweep.planning.placements import placements
from raysweep.run_config import Generation, RunConfig
from raysweep.shard import Cell, Place, Shard, cells, est_tokens
from raysweep.spec import EngineSpec, Question
from raysweep.storage.part import Part
from raysweep.storage.part_file import place_of


@dataclass(frozen=True, slots=True)
class PlannedShard:
    """A shard as a row of plan.parquet. `shard` is None if the shard is finished.

    again  how many samples of a finished shard are made again in missing ones, up to more token budgets
    part   that of a finished shard
    """

    shard_id: str
    engine_id: str
    benchmark: str
    question_ids: tuple[str, ...]
    sample_start: int
    sample_count: int
    est_tokens: int
    shard: Shard | None
    again: int = 0
    part: Part | None = None

    @property
    def samples(self) -> int:
        return len(self.question_ids) * self.sample_count

    @property
    def place(self) -> Place | None:
        """Where the part of a finished shard lies."""
        return place_of(self.part) if self.part else None


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


# Finished parts with their whole streams, those up to more token budgets first, by engine id and benchmark.
Made = Mapping[tuple[str, str], Sequence[tuple[Shard, Part]]]


def make_plan(config: RunConfig, parts: Iterable[Part], demands: Demands | None = None) -> Plan:
    """The run's plan, given the finished parts.

    demands  what is wanted; None stands for every sample up to the largest token budget
    """
    parts = tuple(parts)
    specs, backends = planned_engines(config, {part.stream_id for part in parts})
    made = _made(config, specs, parts)
    shards: list[PlannedShard] = []
    lengths, whole = run_lengths(config), everything(config.sweep)
    for engine in specs:
        tokens_s = _tokens_s(config, engine, lengths)
        for benchmark in config.sweep.benchmarks:
            key = engine.engine_id, benchmark.name
            wanted = [
                _of_segment(whole_stream(config, engine, benchmark, segment.budgets), segment)
                for segment in (demands or {}).get(key, whole)
                if segment.start < segment.stop
            ]
            cuts = [(shard, cut_of(shard, config.generation, tokens_s)) for shard in wanted]
            most = len(config.sweep.token_budgets)
            shards += _plan_benchmark(cuts, made.get(key, ()), most)
    return Plan(specs, tuple(shards), backends, parts)


def _made(config: RunConfig, engines: Iterable[EngineSpec], parts: Sequence[Part]) -> Made:
    by_stream: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_stream[part.stream_id].append(part)
    made: dict[tuple[str, str], list[tuple[Shard, Part]]] = defaultdict(list)
    for stream_id, stream in made_streams(config, engines, by_stream).items():
        key = stream.engine.engine_id, stream.benchmark
        made[key] += [(stream, part) for part in by_stream[stream_id]]
    return made


def _of_segment(stream: Shard, segment: Segment) -> Shard:
    count = segment.stop - segment.start
    return replace(stream, sample_start=segment.start, sample_count=count)


def _plan_benchmark(
    wanted: Sequence[tuple[Shard, Cut]], made: Sequence[tuple[Shard, Part]], most: int
) -> Iterator[PlannedShard]:
    """The shards of an engine on a benchmark: first the finished ones, then the missing ones.

    most  the number of all token budgets
    """
    pieces: list[Piece] = []
    shorter: dict[Cell, Part] = {}
    longest = 0  # samples up to all token budgets
    for piece, new in finished_pieces(made):
        pieces.append(piece)
        longest += count(new) if piece.budgets == most else 0
        if piece.budgets < most:
            shorter |= dict.fromkeys(cells_of(new), piece.part)
    to_do: list[Shard] = []
    again: Counter[str] = Counter()
    complete = bool(made) and longest == made[0][0].samples
    for shard, cut in () if complete else wanted:
        if missing := missing_cells(shard, pieces):
            to_do += (
                _lengthening(new, shorter, again) for new in missing_shards(shard, missing, cut)
            )
    names: dict[int, tuple[str, ...]] = {}  # of the questions, by the id of their tuple
    for piece in pieces:
        part, questions = piece.part, piece.shard.questions
        if id(questions) not in names:
            names[id(questions)] = _names(questions)
        yield _planned(piece.shard, names[id(questions)], part, again[part.shard_id])
    for shard in to_do:
        yield _planned(shard, _names(shard.questions))


def _names(questions: Iterable[Question]) -> tuple[str, ...]:
    return tuple(question.question_id for question in questions)


def _lengthening(shard: Shard, shorter: Mapping[Cell, Part], again: Counter[str]) -> Shard:
    """A missing shard with the places of the parts that hold its samples up to fewer budgets.

    again  where the number of these samples is added, by the finished shard's id
    """
    found = [shorter[cell] for cell in cells(shard) if cell in shorter] if shorter else []
    again.update(part.shard_id for part in found)
    return replace(shard, shorter=tuple(sorted({*map(place_of, found)}))) if found else shard


def _tokens_s(config: RunConfig, engine: EngineSpec, lengths: Lengths) -> float | None:
    """Modelled tokens per second of a full actor. None without a named kind of GPU that holds it.

    The speed of a nominal CPU core is no estimate for this machine's cores.
    """
    if not config.cluster.kinds:
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


def _planned(
    shard: Shard, question_ids: tuple[str, ...], part: Part | None = None, again: int = 0
) -> PlannedShard:
    """A shard as a row of plan.parquet; `part` has its samples if it is finished."""
    return PlannedShard(
        shard_id=part.shard_id if part else shard.shard_id,
        engine_id=shard.engine.engine_id,
        benchmark=shard.benchmark,
        question_ids=question_ids,
        sample_start=shard.sample_start,
        sample_count=shard.sample_count,
        est_tokens=est_tokens(shard),
        shard=None if part else shard,
        again=again,
        part=part,
    )
