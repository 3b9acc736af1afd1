"""Grades stored answers again, by a corrected or a different grader, without a GPU.

Grading depends only on an answer's text, its gold answer, and whether the text ended, and a part of samples
holds all three. Each file of parts is graded by its own worker process, and there are as many workers as
cores. A file is rewritten whole if anything changed. So regrading twice changes nothing, and it may be
stopped at any time. Parts name the grader of each question's answers, so outcomes of two graders are never
mixed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from raysweep import grading
from raysweep.errors import ConfigError
from raysweep.planning.grid import made_streams, planned_engines
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, EngineSpec, Question
from raysweep.storage.lease import LOOK_EVERY_S
from raysweep.storage.part import Part, gold_name
from raysweep.storage.part_file import is_compacted, place_of
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.workers import CallError, DeadWorkerError, Workers

MOST_NAMED = 5  # questions that a message names


@dataclass(frozen=True)
class Changes:
    """What regrading did to a benchmark's answers.

    answers    number of graded answers
    reread     answers whose extracted text changed, whatever their outcome
    parts      number of rewritten parts
    outcomes   number of answers by change of outcome, "old → new"
    corrected  the gold answer before its correction, by question id
    """

    answers: int = 0
    reread: int = 0
    parts: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)
    corrected: Mapping[str, str] = field(default_factory=dict)

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.answers + other.answers,
            self.reread + other.reread,
            self.parts + other.parts,
            dict(Counter(self.outcomes) + Counter(other.outcomes)),
            {**self.corrected, **other.corrected},
        )


@dataclass(frozen=True)
class Wanted:
    """A part that holds samples of the run, and those of its questions that the run still asks."""

    part: Part
    engine: EngineSpec
    benchmark: Benchmark
    questions: tuple[Question, ...]

    @property
    def other_graders(self) -> set[str]:
        """The graders of its answers other than the benchmark's."""
        known = self.part.graders
        graders = {known.get(question.question_id, "unknown") for question in self.questions}
        return graders - {grading.tag(self.benchmark.grader)}

    @property
    def corrected(self) -> tuple[Question, ...]:
        """Its questions whose gold answer differs from the one by which they were graded."""
        return tuple(q for q in self.questions if self.part.gold_of(q) != gold_name(q.gold))


def wanted_parts(config: RunConfig, parts: Iterable[Part]) -> Iterator[Wanted]:
    """The parts that belong to streams of the run, in their order, whatever backend made them."""
    parts = tuple(parts)
    made = {part.stream_id for part in parts}
    makers, _ = planned_engines(config, made)
    streams = made_streams(config, makers, made)
    benchmarks = {benchmark.name: benchmark for benchmark in config.sweep.benchmarks}
    for part in parts:
        stream = streams.get(part.stream_id)
        if stream is not None and (asked := stream.held_by(part)):
            yield Wanted(part, stream.engine, benchmarks[stream.benchmark], asked)


def check_graders(config: RunConfig, parts: Iterable[Part]) -> None:
    """Raise ConfigError if stored answers have another grader or gold answer than the configured one."""
    others: dict[str, set[str]] = defaultdict(set)
    corrected: dict[str, set[str]] = defaultdict(set)
    for wanted in wanted_parts(config, parts):
        others[wanted.benchmark.name] |= wanted.other_graders
        corrected[wanted.benchmark.name] |= {q.question_id for q in wanted.corrected}
    for benchmark in config.sweep.benchmarks:
        if others[benchmark.name]:
            raise ConfigError(
                f"sweep.benchmarks: {benchmark.name!r} is graded by {grading.tag(benchmark.grader)}, but "
                f"stored answers were graded by {', '.join(sorted(others[benchmark.name]))}; grade them "
                "again with stages=[regrade,reduce,report]"
            )
        if corrected[benchmark.name]:
            raise ConfigError(
                f"sweep.benchmarks: {benchmark.name!r} has other gold answers than those by which stored "
                f"answers were graded, for {', '.join(sorted(corrected[benchmark.name])[:MOST_NAMED])}; "
                "grade them again with stages=[regrade,reduce,report]"
            )


def regrade_run(
    config: RunConfig, parts: Iterable[Part], store: Store, workers: Workers
) -> dict[str, Changes]:
    """Grade the stored answers of the run's parts. Returns the changes by benchmark.

    Raises ConfigError if this machine cannot grade or a part cannot be read.
    """
    for index, benchmark in enumerate(config.sweep.benchmarks):
        grading.check_works(benchmark.grader, f"sweep.benchmarks[{index}].grader", workers)
    to_do = list(wanted_parts(config, parts))
    _check_corrections(config, to_do, workers)
    by_file: dict[str, list[Wanted]] = defaultdict(list)
    for wanted in to_do:
        by_file[place_of(wanted.part).file].append(wanted)
    root = store.absolute.root

    def regrade(name: str) -> Changes:
        store.fence(LOOK_EVERY_S)
        arguments = (root, name, by_file[name][0].benchmark.grader, _asked(by_file[name]))
        try:
            return Changes(**workers.call("raysweep.upkeep.regrade:regrade_file", *arguments))
        except DeadWorkerError as error:
            raise ConfigError(
                f"stages: regrade: {store.path(name)} stays as it is: {error}; give more "
                "memory, or raise the limits (ulimit -a lists them)"
            ) from error
        except CallError as error:
            raise ConfigError(
                f"stages: regrade cannot grade {store.path(name)} ({error}); remove the "
                "file, and its samples are made again"
            ) from error

    changes = {benchmark.name: Changes() for benchmark in config.sweep.benchmarks}
    with ThreadPoolExecutor(workers.most) as threads:
        for name, found in zip(by_file, threads.map(regrade, by_file), strict=True):
            changes[by_file[name][0].benchmark.name] += found  # A file has parts of one benchmark.
    return changes


def _asked(parts: Iterable[Wanted]) -> dict[str, list[tuple[str, str, str]]]:
    """(id, `Question.asked`, gold answer) of each question of some parts, by shard id."""
    return {
        wanted.part.shard_id: [(q.question_id, q.asked, q.gold) for q in wanted.questions]
        for wanted in parts
    }


def _check_corrections(config: RunConfig, to_do: Iterable[Wanted], workers: Workers) -> None:
    """Raise ConfigError for a corrected gold answer that the grader does not credit when it is stated."""
    corrected: dict[str, dict[str, Question]] = defaultdict(dict)
    for wanted in to_do:
        corrected[wanted.benchmark.name] |= {q.question_id: q for q in wanted.corrected}
    for index, benchmark in enumerate(config.sweep.benchmarks):
        if questions := tuple(corrected[benchmark.name].values()):
            field = f"sweep.benchmarks[{index}].grader"
            grading.check_golds(replace(benchmark, questions=questions), field, workers)


def regrade_file(
    root: str, name: str, grader: str, asked: Mapping[str, list[tuple[str, str, str]]]
) -> dict[str, Any]:
    """Grade the answers to some questions in a file of parts, and rewrite the file if anything changes.

    asked  (id, `Question.asked`, gold answer) of each of these questions, by shard id

    Runs in a worker process. Returns the fields of Changes.
    """
    store = Store(root)
    whole = store.read_whole_file(name)
    notes, answers, changes = list(whole.parts), {}, Changes()
    for place, part in enumerate(whole.parts):
        if questions := asked.get(part.shard_id):
            golds = {question_id: gold for question_id, _, gold in questions}
            notes[place], table = _noted(part, grader, questions), whole.table(part)
            answers[part.shard_id], found = _regraded(table, grader, golds)
            changes += _counted(found, part, notes[place])
    if changes.parts:
        tables = (_with_answers(whole.table(part), answers.get(part.shard_id)) for part in notes)
        if is_compacted(name):
            store.write_parts(name, notes, tables)
        else:
            store.write_part(notes[0], next(tables))
    return asdict(changes)


def _counted(changes: Changes, part: Part, note: Part) -> Changes:
    """The changes of a part's answers, with those of its note."""
    changed = bool(changes.reread or changes.outcomes or note != part)
    corrected = {q: old for q, old in note.former_golds.items() if part.former_golds.get(q) != old}
    return replace(changes, parts=int(changed), corrected=corrected)


def _with_answers(table: pa.Table, answers: pa.Array | None) -> pa.Table:
    if answers is None:
        return table
    place = table.schema.get_field_index("answers")
    return table.set_column(place, SAMPLES.field("answers"), answers)


def _noted(part: Part, grader: str, questions: list[tuple[str, str, str]]) -> Part:
    """What the part says of itself once those questions are graded so; a corrected gold is recorded."""
    golds = {question_id: gold_name(gold) for question_id, _, gold in questions}
    former = {q: part.golds[q] for q, gold in golds.items() if part.golds.get(q, gold) != gold}
    return replace(
        part,
        questions={**part.questions, **{question_id: asked for question_id, asked, _ in questions}},
        graders={**part.graders, **dict.fromkeys(golds, grading.tag(grader))},
        golds={**part.golds, **golds},
        former_golds={**part.former_golds, **former},
    )


def _regraded(table: pa.Table, grader: str, golds: Mapping[str, str]) -> tuple[pa.Array, Changes]:
    """The column `answers` with new grades, and what changed."""
    lists = table["answers"].combine_chunks()
    structs = lists.flatten()
    columns = {field.name: structs.field(field.name) for field in structs.type}
    questions = pc.take(table["question_id"], lists.value_parent_indices()).to_pylist()
    said_of = (columns[name].to_pylist() for name in ("text", "ended", "given_up"))
    rows = zip(questions, *said_of, strict=True)
    said = {
        place: grading.Said(text, ended, golds[question_id], given_up)
        for place, (question_id, text, ended, given_up) in enumerate(rows)
        if question_id in golds
    }
    graded = dict(zip(said, grading.grade_all(grader, list(said.values()), _helper()), strict=True))
    before = columns["answer"].to_pylist(), columns["outcome"].to_pylist()
    answers, outcomes = map(list, before)
    for place, one in graded.items():
        answers[place], outcomes[place] = one.answer, one.outcome
    changes = Changes(
        answers=len(said),
        reread=sum(old != new for old, new in zip(before[0], answers, strict=True)),
        outcomes=dict(
            Counter(
                f"{old} → {new}" for old, new in zip(before[1], outcomes, strict=True) if old != new
            )
        ),
    )
    columns |= {
        "answer": pa.array(answers, pa.string()),
        "outcome": pa.array(outcomes, pa.string()),
    }
    rebuilt = pa.StructArray.from_arrays(list(columns.values()), fields=list(structs.type))
    return pa.ListArray.from_arrays(lists.offsets, rebuilt, type=lists.type), changes


@cache
def _helper() -> Workers:
    """The one worker of a regrading process, for grading that may hang."""
    return Workers(1)
