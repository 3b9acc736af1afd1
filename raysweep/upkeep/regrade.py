"""Grades stored answers again, by a corrected or a different grader, without a GPU.

Grading depends only on an answer's text, its gold answer, and whether the text ended, and a part of samples
holds all three. Each part is graded by its own worker process, and there are as many workers as cores. A
part is rewritten whole if anything changed. So regrading twice changes nothing, and it may be stopped at any
time. Parts name the grader of each question's answers, so outcomes of two graders are never mixed.
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
from raysweep.planning.grid import backend_of, engines, whole_stream
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, content_hash
from raysweep.storage.lease import LOOK_EVERY_S
from raysweep.storage.part import PART_KEY, Part, decoded, part_name
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.workers import CallError, Workers


@dataclass(frozen=True)
class Changes:
    """What regrading did to a benchmark's answers.

    answers   number of graded answers
    reread    answers whose extracted text changed, whatever their outcome
    parts     number of rewritten parts
    outcomes  number of answers by change of outcome, "old → new"
    """

    answers: int = 0
    reread: int = 0
    parts: int = 0
    outcomes: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: "Changes") -> "Changes":
        return Changes(
            self.answers + other.answers,
            self.reread + other.reread,
            self.parts + other.parts,
            dict(Counter(self.outcomes) + Counter(other.outcomes)),
        )


@dataclass(frozen=True)
class Wanted:
    """A part that holds samples of the run, and the gold answers of the run's questions in it."""

    part: Part
    benchmark: Benchmark
    golds: Mapping[str, str]

    @property
    def other_graders(self) -> set[str]:
        """The graders of its answers other than the benchmark's."""
        graders = {self.part.graders.get(question_id, "unknown") for question_id in self.golds}
        return graders - {grading.tag(self.benchmark.grader)}


def wanted_parts(config: RunConfig, parts: Iterable[Part]) -> Iterator[Wanted]:
    """The parts that belong to streams of the run, in their order, whatever backend made them."""
    parts = tuple(parts)
    made = {part.stream_id for part in parts}
    makers = [
        replace(engine, backend=backend_of(config, engine, made).backend)
        for engine in engines(config)
    ]
    streams = {
        whole_stream(config, engine, benchmark).stream_id: benchmark
        for engine in makers
        for benchmark in config.sweep.benchmarks
    }
    for part in parts:
        if benchmark := streams.get(part.stream_id):
            golds = {
                question.question_id: question.gold
                for question in benchmark.questions
                if part.questions.get(question.question_id) == content_hash(question)
            }
            if golds:
                yield Wanted(part, benchmark, golds)


def check_graders(config: RunConfig, parts: Iterable[Part]) -> None:
    """Raise ConfigError if answers of the run were not graded by the configured grader."""
    others: dict[str, set[str]] = defaultdict(set)
    for wanted in wanted_parts(config, parts):
        others[wanted.benchmark.name] |= wanted.other_graders
    for benchmark in config.sweep.benchmarks:
        if others[benchmark.name]:
            raise ConfigError(
                f"sweep.benchmarks: {benchmark.name!r} is graded by {grading.tag(benchmark.grader)}, but "
                f"stored answers were graded by {', '.join(sorted(others[benchmark.name]))}; grade them "
                "again with stages=[regrade,reduce,report]"
            )


def regrade_run(
    config: RunConfig, parts: Iterable[Part], store: Store, workers: Workers
) -> dict[str, Changes]:
    """Grade the stored answers of the run's parts. Returns the changes by benchmark.

    Raises ConfigError if this machine cannot grade or a part cannot be read.
    """
    for index, benchmark in enumerate(config.sweep.benchmarks):
        check_place = grading.load_grader(benchmark.grader).check_place
        check_place(f"sweep.benchmarks[{index}].grader")
    root = store.absolute.root

    def regrade(wanted: Wanted) -> Changes:
        store.fence(LOOK_EVERY_S)
        names = wanted.part.engine_id, wanted.part.shard_id
        arguments = (root, *names, wanted.benchmark.grader, dict(wanted.golds))
        try:
            return Changes(**workers.call("raysweep.upkeep.regrade:regrade_part", *arguments))
        except CallError as error:
            raise ConfigError(
                f"stages: regrade cannot grade {store.path(part_name(*names))} ({error}); remove the "
                "file, and its samples are made again"
            ) from error

    to_do = list(wanted_parts(config, parts))
    changes = {benchmark.name: Changes() for benchmark in config.sweep.benchmarks}
    with ThreadPoolExecutor(workers.most) as threads:
        for wanted, found in zip(to_do, threads.map(regrade, to_do), strict=True):
            changes[wanted.benchmark.name] += found
    return changes


def regrade_part(
    root: str, engine_id: str, shard_id: str, grader: str, golds: dict[str, str]
) -> dict[str, Any]:
    """Grade a part's answers to the questions in `golds`, and rewrite the part if anything changes.

    Runs in a worker process. Returns the fields of Changes.
    """
    store = Store(root)
    table = store.read_table(part_name(engine_id, shard_id))
    part = decoded((table.schema.metadata or {})[PART_KEY])
    answers, changes = _regraded(table, grader, golds)
    graders = {**part.graders, **dict.fromkeys(golds, grading.tag(grader))}
    rewrite = bool(changes.reread or changes.outcomes or graders != part.graders)
    if rewrite:
        column = table.schema.get_field_index("answers")
        table = table.set_column(column, SAMPLES.field("answers"), answers)
        store.write_part(replace(part, graders=graders), table)
    return asdict(replace(changes, parts=int(rewrite)))


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
