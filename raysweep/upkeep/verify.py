"""Checks that a run's folder is as it was written and consistent. Every byte is read.

A part is checked against its seal and its pages' checksums. Then it is checked against itself (questions x
samples rows, each once), against the run (seeds, token budgets) and against the other parts (no sample counts
twice). Tables are checked against their schemas and each other. Nothing is changed here. Problems are
returned.
"""

import itertools
import json
import os
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.errors import ConfigError, StorageError
from raysweep.grading.outcomes import OUTCOMES
from raysweep.planning.backends import AUTO
from raysweep.planning.cutting import finished_pieces
from raysweep.planning.grid import control_of, engines, is_full, made_streams
from raysweep.run_config import RunConfig
from raysweep.shard import Cell, cells, sample_key
from raysweep.spec import EngineSpec
from raysweep.storage import result_files, schemas
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.part import Part
from raysweep.storage.record import CONFIG, read_record
from raysweep.storage.store import EPOCH_KEY, Store
from raysweep.storage.summary import SUMMARY
from raysweep.upkeep.growing import mixed_prompts
from raysweep.upkeep.verify_decisions import check_decisions

# The most threads. Parts are in memory while they are read, so more threads would need more memory.
READERS = 8
# The most problems that are told of a part.
MOST_SHOWN = 3
# Parts of early versions lack these columns.
LATER = {"reused_tokens", "recomputed_tokens", "reproducible"}

# Columns that the tables of early runs do not have.
_LATER_OF_WEIGHTS = {"weight_symmetric", "weight_act_order"}
LATER_IN_TABLES = {
    "engines.parquet": {*_LATER_OF_WEIGHTS, "working_copy_bytes", "control"},
    "scenarios.parquet": _LATER_OF_WEIGHTS,
    "frontier.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
    "frontiers.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
}


@dataclass(frozen=True)
class Problem:
    """Something wrong with the file `name`.

    mended  whether setting the file aside mends it, because it is then made again
    """

    name: str
    text: str
    mended: bool = True


@dataclass(frozen=True)
class Checked:
    """A file that was read, and its problems. `part` is None if there are problems."""

    name: str
    problems: tuple[Problem, ...]
    part: Part | None = None
    rows: int = 0
    sealed: bool = True


def check_parts(config: RunConfig, store: Store, names: Iterable[str]) -> Iterator[Checked]:
    """Check the parts of these names with several threads. Results come in the order of the names."""
    with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as readers:
        yield from readers.map(lambda name: check_part(config, store, name), names)


def check_part(config: RunConfig, store: Store, name: str) -> Checked:
    """Check one part against itself and the run."""
    try:
        (part,), table, sealed = store.read_whole_file(name)
    except DamagedPartError as error:
        return Checked(name, (Problem(name, str(error.reason)),))
    except (ConfigError, StorageError) as error:
        # The part has another version or cannot be reached, so it must not be moved.
        return Checked(name, (Problem(name, str(error), mended=False),))
    texts = itertools.islice(part_problems(config, part, table), MOST_SHOWN)
    problems = tuple(Problem(name, text) for text in texts)
    return Checked(name, problems, None if problems else part, table.num_rows, sealed)


def part_problems(config: RunConfig, part: Part, table: pa.Table) -> Iterator[str]:
    """The problems of a part's rows. A check comes after those that it relies on."""
    if problem := _schema_problem(table.schema, schemas.SAMPLES, LATER):
        yield problem
        return
    found = list(
        zip(table["question_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True)
    )
    expected = list(part.cells)
    if sorted(found, key=str) != sorted(expected, key=str):
        yield (
            f"it has {len(found):,} samples instead of {len(expected):,} different ones: "
            f"{len(part.questions):,} questions x {part.sample_count:,} samples from "
            f"{part.sample_start:,}"
        )
        return
    if set(table["engine_id"].to_pylist()) - {part.engine_id}:
        yield f"it has samples of another engine than {part.engine_id}"
    if table["benchmark"].null_count or len(table["benchmark"].unique()) > 1:
        yield "it has samples of several benchmarks"
    seeds = [sample_key(config.seed, *cell) for cell in found]
    if wrong := sum(a != b for a, b in zip(seeds, table["seed"].to_pylist(), strict=True)):
        yield f"{wrong:,} of its samples have seeds that do not follow from the run's seed {config.seed}"
    tokens = table["token_ids"].combine_chunks()
    lengths = pc.call_function("list_value_length", [tokens]).to_pylist()
    if lengths != table["trace_tokens"].to_pylist():
        yield "it has traces whose number of tokens differs from trace_tokens"
    if part.version > 1 and set(part.prompts) != set(part.questions):
        yield "it does not name the prompt of each question"
    yield from _answer_problems(config, part, table)


def _answer_problems(config: RunConfig, part: Part, table: pa.Table) -> Iterator[str]:
    lists = table["answers"].combine_chunks()
    answers = lists.flatten()
    budgets = _budgets(config, part, len(answers) // max(1, len(lists)))
    per_sample = len(answers) == len(lists) * len(budgets) and not lists.null_count
    if not per_sample or answers.field("token_budget").to_pylist() != budgets * len(lists):
        yield f"it has samples without exactly one answer for each token budget, {budgets}"
        return
    outcomes = set(answers.field("outcome").to_pylist())
    if unknown := outcomes - set(OUTCOMES):
        yield f"it has answers with the unknown outcome {min(map(str, unknown))!r}"
    if any(
        a > b
        for a, b in zip(answers.field("thinking_tokens").to_pylist(), itertools.cycle(budgets))
    ):
        yield "it has answers with more thinking tokens than their token budget"


def _budgets(config: RunConfig, part: Part, given: int) -> list[int]:
    """The token budgets at which a part should have answers, where it has `given` for each sample."""
    budgets = list(config.sweep.token_budgets)
    if 0 < given < len(budgets):
        own = [engine for engine in _makers(config) if engine.engine_id == part.engine_id]
        for stream in made_streams(config, own, {part.stream_id}).values():
            return budgets[: len(stream.decoding.token_budgets)]
    return budgets


def _schema_problem(
    found: pa.Schema, expected: pa.Schema, optional: Iterable[str] = ()
) -> str | None:
    if missing := set(expected.names) - set(found.names) - set(optional):
        return f"it lacks {', '.join(sorted(missing))}"
    for field in found:
        wanted = expected.field(field.name).type if field.name in expected.names else None
        # A part that is older than a column may have it with nulls of any type.
        if field.type != wanted and not pa.types.is_null(field.type):
            expected_type = wanted or "a column of the schema"
            return f"its column {field.name!r} is {field.type}, not {expected_type}"
    return None


def check_doubles(config: RunConfig, parts: Iterable[Part]) -> Iterator[Problem]:
    """Samples that are in two parts of a stream. The problem names the second part.

    Two streams up to different token budgets may have the same samples, since traces may be lengthened.
    """
    by_stream: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_stream[part.stream_id].append(part)
    for stream_id, stream in made_streams(config, _makers(config), by_stream).items():
        seen: dict[Cell, str] = {}
        for piece, _ in finished_pieces([(stream, part) for part in by_stream[stream_id]]):
            doubled = [cell for cell in cells(piece.shard) if cell in seen]
            if doubled:
                yield Problem(
                    piece.part.name,
                    f"{len(doubled):,} of its samples are also in {seen[doubled[0]]}",
                )
            seen |= dict.fromkeys(cells(piece.shard), piece.part.name)


def _makers(config: RunConfig) -> list[EngineSpec]:
    """The engines and controls of the run, with each backend that may have made their samples."""
    grid = engines(config)
    controls = [control_of(engine) for engine in grid if is_full(engine)]
    return [
        replace(engine, backend=backend)
        for engine in (*grid, *controls)
        for backend in (AUTO if engine.backend == "auto" else (engine.backend,))
    ]


def check_prompts(parts: Iterable[Part]) -> Iterator[Problem]:
    """Questions that were asked with two prompts in one stream. The problem names the second part."""
    for part, question_id, earlier in mixed_prompts(parts):
        yield Problem(part.name, f"its prompt of {question_id} differs from that in {earlier}")


def check_tables(store: Store) -> Iterator[Problem]:
    """Check the existing tables against their schemas and each other, the text files, and the decisions."""
    epochs: dict[str, bytes] = {}
    rows: dict[str, int] = {}
    for name, schema in result_files.TABLES.items():
        if not store.exists(name):
            continue
        try:
            table = store.read_whole_table(name)
        except (ConfigError, StorageError) as error:
            yield Problem(name, str(error), mended=isinstance(error, DamagedPartError))
            continue
        if problem := _schema_problem(table.schema, schema, LATER_IN_TABLES.get(name, ())):
            yield Problem(name, problem)
        epochs[name] = (table.schema.metadata or {}).get(EPOCH_KEY, b"0")
        rows[name] = table.num_rows
    yield from _mixed(epochs)
    yield from _texts(store, rows)
    yield from itertools.starmap(Problem, check_decisions(store))


def _mixed(epochs: dict[str, bytes]) -> Iterator[Problem]:
    """The tables of a reduction that come from an older epoch than the newest one."""
    reduced = {name: epochs[name] for name in result_files.REDUCED if name in epochs}
    if len(set(reduced.values())) > 1:
        newest = max(reduced.values(), key=int)
        for name in (name for name, epoch in reduced.items() if epoch != newest):
            yield Problem(
                name,
                f"it was written by another driver (epoch {reduced[name].decode()}) than the others",
            )


def _texts(store: Store, rows: dict[str, int]) -> Iterator[Problem]:
    try:
        read_record(store)
    except (ConfigError, StorageError) as error:
        yield Problem(CONFIG, str(error), mended=False)
    try:
        summary = json.loads(store.read_text(SUMMARY)) if store.exists(SUMMARY) else {}
    except ValueError as error:
        yield Problem(SUMMARY, f"it is not JSON ({error})")
        return
    counted = summary.get("scenarios") if isinstance(summary, dict) else None
    if result_files.SCENARIOS in rows and counted not in (None, rows[result_files.SCENARIOS]):
        there = rows[result_files.SCENARIOS]
        yield Problem(
            result_files.SCENARIOS,
            f"it has {there:,} rows, but {SUMMARY} counts {counted:,} scenarios",
        )
