"""Checks that a run's samples are as they were written and consistent. Every byte is read.

A part is checked against its seal and its pages' checksums. Then it is checked against itself (questions x
samples rows, each once), against the run (seeds, token budgets) and against the other parts (no sample counts
twice). Nothing is changed here. Problems are returned.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa
import pyarrow.compute as pc

from raysweep.errors import ConfigError, StorageError
from raysweep.grading.outcomes import OUTCOMES
from raysweep.planning.backends import AUTO
from raysweep.planning.grid import control_of, engines, is_full, made_streams
from raysweep.run_config import RunConfig
from raysweep.shard import sample_key
from raysweep.spec import EngineSpec
from raysweep.storage import schemas
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.part import Part
from raysweep.storage.part_file import place_of
from raysweep.storage.store import Store
from raysweep.upkeep.growing import mixed_prompts
from raysweep.upkeep.problems import Problem, problem_of, schema_problem

# The most problems that are told of a part.
MOST_SHOWN = 3
# Parts of early versions lack these columns.
LATER = {"reused_tokens", "recomputed_tokens", "reproducible"}


@dataclass(frozen=True)
class Checked:
    """A file that was read, its problems, and those of its parts that have none.

    held  the number of all its parts
    """

    name: str
    problems: tuple[Problem, ...]
    parts: tuple[Part, ...] = ()
    held: int = 1
    rows: int = 0
    sealed: bool = True


def check_parts(config: RunConfig, store: Store, names: Iterable[str]) -> Iterator[Checked]:
    """Check the files of these names side by side. Results come in the order of the names."""
    files = store.part_files()
    sizes = dict(zip(files["file"].to_pylist(), files["size"].to_pylist(), strict=True))
    yield from store.folder.side_by_side(
        lambda name: check_file(config, store, name), names, lambda name: sizes.get(name, 0)
    )


def check_file(config: RunConfig, store: Store, name: str) -> Checked:
    """Check each part of a file against itself and the run."""
    problems: list[Problem] = []
    sound: list[Part] = []
    rows = 0
    try:
        whole = store.read_whole_file(name)
        for part in whole.parts:
            table = whole.table(part)
            found = list(itertools.islice(part_problems(config, part, table), MOST_SHOWN))
            problems += (problem_of(part, text) for text in found)
            sound += () if found else (part,)
            rows += table.num_rows
    except DamagedPartError as error:
        return Checked(name, (Problem(name, str(error.reason)),))
    except (ConfigError, StorageError) as error:
        # The file has another version or cannot be reached, so it must not be moved.
        return Checked(name, (Problem(name, str(error), mended=False),))
    return Checked(name, tuple(problems), tuple(sound), len(whole.parts), rows, whole.sealed)


def part_problems(config: RunConfig, part: Part, table: pa.Table) -> Iterator[str]:
    """The problems of a part's rows. A check comes after those that it relies on."""
    if problem := schema_problem(table.schema, schemas.SAMPLES, LATER):
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
        own = [engine for engine in makers(config) if engine.engine_id == part.engine_id]
        for stream in made_streams(config, own, {part.stream_id}).values():
            return budgets[: len(stream.decoding.token_budgets)]
    return budgets


# A sample: its stream, the hash of what its question asks, the question's id, and the sample index.
Asked = tuple[str, str, str, int]


def check_doubles(parts: Iterable[Part]) -> Iterator[Problem]:
    """Samples that are in two parts of a stream. Without the parts that are named, none is left.

    A copy that compaction left behind is such a part. Two streams up to different token budgets may have the
    same samples, since traces may be lengthened.
    """
    parts = tuple(parts)
    held = Counter(part.file for part in parts)
    where: dict[Asked, set[str]] = defaultdict(set)
    for part in parts:
        for cell in _asked_cells(part):
            where[cell].add(place_of(part).file)
    kept: set[Asked] = set()
    for part in sorted(parts, key=lambda one: (-held[one.file], -one.samples, one.file)):
        cells = set(_asked_cells(part))
        if kept.isdisjoint(cells):
            kept |= cells
            continue
        doubled = [cell for cell in cells if len(where[cell]) > 1]
        others = set().union(*(where[cell] for cell in doubled)) - {place_of(part).file}
        text = f"{len(doubled):,} of its samples are also in {' and '.join(sorted(others))}"
        yield problem_of(part, text)


def _asked_cells(part: Part) -> Iterator[Asked]:
    """Each sample of a part, with its stream and the hash of what its question asks."""
    asked = part.questions
    return ((part.stream_id, asked[question], question, index) for question, index in part.cells)


def makers(config: RunConfig) -> list[EngineSpec]:
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
        yield problem_of(part, f"its prompt of {question_id} differs from that in {earlier}")
