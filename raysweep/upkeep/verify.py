"""Is a run's folder what was written, and does it hold what it says? Every byte is read to find out.

A part is read whole, against its seal and its pages' checksums, and then held against itself (as many rows
as questions x samples, each once), against the run (seeds, token budgets) and against the other parts (no
sample twice in what counts). Tables are read whole and held against their schemas and each other. Nothing
is changed here: what is wrong is told, as problems.
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
from raysweep.planning.grid import engines, whole_stream
from raysweep.run_config import RunConfig
from raysweep.shard import Cell, cells, sample_key
from raysweep.storage import result_files, schemas
from raysweep.storage.part import Part
from raysweep.storage.record import CONFIG, SUMMARY, read_record
from raysweep.storage.store import EPOCH_KEY, DamagedPartError, Store

READERS = 8  # threads at most: parts lie in memory while they are read
MOST_SHOWN = 3
LATER = {
    "reused_tokens",
    "recomputed_tokens",
    "reproducible",
}  # columns that early parts do not have

# Columns that the tables of early runs do not have.
_LATER_OF_WEIGHTS = {"weight_symmetric", "weight_act_order"}
LATER_IN_TABLES = {
    "engines.parquet": _LATER_OF_WEIGHTS,
    "scenarios.parquet": _LATER_OF_WEIGHTS,
    "frontier.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
    "frontiers.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
}


@dataclass(frozen=True)
class Problem:
    """Something wrong with the file `name`.

    mended  by setting the file aside, so that it is made anew
    """

    name: str
    text: str
    mended: bool = True


@dataclass(frozen=True)
class Checked:
    """A file that was read, and what is wrong with it; `part` is None if it is none, or cannot be told."""

    name: str
    problems: tuple[Problem, ...]
    part: Part | None = None
    rows: int = 0
    sealed: bool = True


def check_parts(config: RunConfig, store: Store, names: Iterable[str]) -> Iterator[Checked]:
    """The parts of these names, in their order, as they are read by several threads."""
    with ThreadPoolExecutor(min(READERS, os.cpu_count() or 1)) as readers:
        yield from readers.map(lambda name: check_part(config, store, name), names)


def check_part(config: RunConfig, store: Store, name: str) -> Checked:
    """One part against itself and the run."""
    try:
        part, table, sealed = store.read_whole_part(name)
    except DamagedPartError as error:
        return Checked(name, (Problem(name, str(error.reason)),))
    except (
        ConfigError,
        StorageError,
    ) as error:  # another version's, or out of reach: not ours to move
        return Checked(name, (Problem(name, str(error), mended=False),))
    texts = itertools.islice(part_problems(config, part, table), MOST_SHOWN)
    problems = tuple(Problem(name, text) for text in texts)
    return Checked(name, problems, None if problems else part, table.num_rows, sealed)


def part_problems(config: RunConfig, part: Part, table: pa.Table) -> Iterator[str]:
    """What is wrong with a part's rows; what later checks rest on comes first."""
    if problem := _schema_problem(table.schema, schemas.SAMPLES, LATER):
        yield problem
        return
    found = list(
        zip(table["question_id"].to_pylist(), table["sample_index"].to_pylist(), strict=True)
    )
    expected = list(part.cells)
    if sorted(found, key=str) != sorted(expected, key=str):
        yield (
            f"{len(found):,} samples, not the {len(expected):,} of {len(part.questions):,} questions x "
            f"{part.sample_count:,} samples from {part.sample_start:,} that it should hold, each once"
        )
        return
    if set(table["engine_id"].to_pylist()) - {part.engine_id}:
        yield f"samples of another engine than {part.engine_id}"
    if table["benchmark"].null_count or len(table["benchmark"].unique()) > 1:
        yield "samples of several benchmarks"
    seeds = [sample_key(config.seed, *cell) for cell in found]
    if wrong := sum(a != b for a, b in zip(seeds, table["seed"].to_pylist(), strict=True)):
        yield f"{wrong:,} samples with another seed than the run's seed {config.seed} gives them"
    tokens = table["token_ids"].combine_chunks()
    lengths = pc.call_function("list_value_length", [tokens]).to_pylist()
    if lengths != table["trace_tokens"].to_pylist():
        yield "traces with another number of tokens than trace_tokens says"
    yield from _answer_problems(config, table)


def _answer_problems(config: RunConfig, table: pa.Table) -> Iterator[str]:
    budgets = list(config.sweep.token_budgets)
    lists = table["answers"].combine_chunks()
    answers = lists.flatten()
    per_sample = len(answers) == len(lists) * len(budgets) and not lists.null_count
    if not per_sample or answers.field("token_budget").to_pylist() != budgets * len(lists):
        yield f"samples whose answers are not one for each token budget, {budgets}"
        return
    outcomes = set(answers.field("outcome").to_pylist())
    if unknown := outcomes - set(OUTCOMES):
        yield f"answers with the outcome {min(map(str, unknown))!r}, which there is not"
    if any(
        a > b
        for a, b in zip(answers.field("thinking_tokens").to_pylist(), itertools.cycle(budgets))
    ):
        yield "answers after more thinking than their token budget"


def _schema_problem(
    found: pa.Schema, expected: pa.Schema, optional: Iterable[str] = ()
) -> str | None:
    if missing := set(expected.names) - set(found.names) - set(optional):
        return f"it lacks {', '.join(sorted(missing))}"
    for field in found:
        wanted = expected.field(field.name).type if field.name in expected.names else None
        # A column that an early part was written without is null in it, of whatever type.
        if field.type != wanted and not pa.types.is_null(field.type):
            return f"its column {field.name!r} is {field.type}, not {wanted or 'one of the schema'}"
    return None


def check_doubles(config: RunConfig, parts: Iterable[Part]) -> Iterator[Problem]:
    """Samples of the run that are in two parts, of those that count; the second part is named."""
    by_stream: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        by_stream[part.stream_id].append(part)
    for engine, benchmark in itertools.product(engines(config), config.sweep.benchmarks):
        for backend in AUTO if engine.backend == "auto" else (engine.backend,):
            whole = whole_stream(config, replace(engine, backend=backend), benchmark)
            own = by_stream[whole.stream_id]
            named = {part.shard_id: part.name for part in own}
            seen: dict[Cell, str] = {}
            for shard_id, piece in finished_pieces(whole, own)[0]:
                doubled = [cell for cell in cells(piece) if cell in seen]
                if doubled:
                    first = named[seen[doubled[0]]]
                    yield Problem(
                        named[shard_id], f"{len(doubled):,} of its samples are in {first} too"
                    )
                seen |= dict.fromkeys(cells(piece), shard_id)


def check_tables(store: Store) -> Iterator[Problem]:
    """The tables that are there, against their schemas and each other, and the two texts beside them."""
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


def _mixed(epochs: dict[str, bytes]) -> Iterator[Problem]:
    """Tables of one reduction have one epoch, and are all there."""
    reduced = {name: epochs[name] for name in result_files.REDUCED if name in epochs}
    if len(set(reduced.values())) > 1:
        newest = max(reduced.values(), key=int)
        for name in (name for name, epoch in reduced.items() if epoch != newest):
            yield Problem(
                name, f"written by another driver (epoch {reduced[name].decode()}) than the rest"
            )


def _texts(store: Store, rows: dict[str, int]) -> Iterator[Problem]:
    try:
        read_record(store)
    except (ConfigError, StorageError) as error:
        yield Problem(CONFIG, str(error), mended=False)
    try:
        summary = json.loads(store.read_text(SUMMARY)) if store.exists(SUMMARY) else {}
    except ValueError as error:
        yield Problem(SUMMARY, f"not JSON ({error})")
        return
    counted = summary.get("scenarios") if isinstance(summary, dict) else None
    if result_files.SCENARIOS in rows and counted not in (None, rows[result_files.SCENARIOS]):
        there = rows[result_files.SCENARIOS]
        yield Problem(
            result_files.SCENARIOS, f"{there:,} rows, and {SUMMARY} speaks of {counted:,} scenarios"
        )
