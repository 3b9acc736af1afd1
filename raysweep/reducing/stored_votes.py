"""Votes that are kept in the run's folder, so that a later reduce reads only the samples that are new.

The one idea: votes name what they rest on: every file that was read, with its size and the time of its
writing, the questions, the grader, the token budgets, and VERSION. Votes that rest on anything else than what
is there now are made again, and so are damaged or missing ones. There is a file for each engine, with a row
for each benchmark, outside of samples/. It holds numbers only and is safe to lose.
"""

import json
from collections.abc import Container, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep import grading
from raysweep.errors import ConfigError
from raysweep.reducing.answer_counts import Tally
from raysweep.run_config import Sweep
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.store import Store
from raysweep.system.content import content_hash

FOLDER = "votes"

# Another way to count raises it.
VERSION = 1

# The metadata that name what each benchmark's votes rest on, as JSON.
RESTS_ON_KEY = b"raysweep.rests_on"

ARRAYS = {
    "correct": pa.int32(),
    "wrong": pa.int32(),
    "absent": pa.int32(),
    "outcomes": pa.int64(),
    "thinking_tokens": pa.int64(),
    "run_tokens": pa.float64(),
    "right": pa.int8(),
}
COUNTS = (
    *("longest_prompt_tokens", "tokens_generated", "n_samples_read"),
    *("reused_tokens", "recomputed_tokens", "seeded_samples"),
)
SCHEMA = pa.schema(
    {
        "benchmark": pa.string(),
        **{name: pa.list_(kind) for name, kind in ARRAYS.items()},
        **dict.fromkeys(COUNTS, pa.int64()),
        "finishes": pa.map_(pa.string(), pa.int64()),
    }
)


def votes_name(engine_id: str) -> str:
    """The file of an engine's votes in the run's folder."""
    return f"{FOLDER}/engine={engine_id}.parquet"


def counted_as(benchmark: Benchmark, sweep: Sweep) -> str:
    """Hash of all besides the samples that an engine's votes on a benchmark follow from."""
    golds = [question.gold for question in benchmark.questions]
    grader = grading.tag(benchmark.grader)
    return content_hash(
        VERSION, benchmark.asked, golds, grader, list(sweep.token_budgets), sweep.samples
    )


def rests_on_of(store: Store, name: str) -> dict[str, str]:
    """What each benchmark's votes in a file rest on, by benchmark. Empty if the file cannot be read."""
    try:
        found = json.loads(store.read_metadata(name)[RESTS_ON_KEY])
    except (ConfigError, KeyError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def write_votes(store: Store, tallies: Mapping[str, Tally]) -> None:
    """Store an engine's votes on one or more benchmarks, by what they rest on."""
    engine = next(iter(tallies.values())).engine
    rests_on = {tally.benchmark.name: rests_on for rests_on, tally in tallies.items()}
    metadata = {RESTS_ON_KEY: json.dumps(rests_on).encode()}
    store.write_table(votes_name(engine.engine_id), _table(list(tallies.values())), metadata)


def read_votes(
    store: Store, engine: EngineSpec, sweep: Sweep, wanted: Container[str]
) -> dict[str, Tally]:
    """An engine's votes by what they rest on, if it is wanted. Empty if the file cannot be read."""
    try:
        table = store.read_whole_table(votes_name(engine.engine_id))
        rests_on = json.loads((table.schema.metadata or {})[RESTS_ON_KEY])
        rows = {name: row for row, name in enumerate(table["benchmark"].to_pylist())}
        return {
            rests_on[one.name]: _tally(table.slice(rows[one.name], 1), engine, one, sweep)
            for one in sweep.benchmarks
            if one.name in rows and rests_on.get(one.name) in wanted
        }
    except (ConfigError, KeyError, TypeError, ValueError):
        return {}


def _table(tallies: Sequence[Tally]) -> pa.Table:
    lists = {
        name: _lists([getattr(tally, name) for tally in tallies], kind)
        for name, kind in ARRAYS.items()
    }
    others = [
        {
            "benchmark": tally.benchmark.name,
            "finishes": list(tally.finishes.items()),
            **{name: getattr(tally, name) for name in COUNTS},
        }
        for tally in tallies
    ]
    schema = pa.schema([field for field in SCHEMA if field.name not in lists])
    table = pa.Table.from_pylist(others, schema=schema)
    for name, column in lists.items():
        table = table.append_column(SCHEMA.field(name), column)
    return table.select(SCHEMA.names)


def _lists(arrays: Sequence[NDArray[Any]], kind: pa.DataType) -> pa.ListArray:
    """A list of numbers for each array."""
    offsets = np.cumsum([0, *(array.size for array in arrays)])
    values = np.concatenate([array.ravel() for array in arrays])
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), pa.array(values).cast(kind))


def _tally(row: pa.Table, engine: EngineSpec, benchmark: Benchmark, sweep: Sweep) -> Tally:
    """The votes in a table of one row. Raises ValueError if the numbers do not fit the sweep."""
    shapes = _shapes(len(sweep.token_budgets), len(benchmark.questions))
    arrays = {name: _array(row[name], name).reshape(shape) for name, shape in shapes.items()}
    counts = {name: row[name][0].as_py() for name in COUNTS}
    finishes = dict(row["finishes"][0].as_py())
    return Tally(engine, benchmark, sweep.token_budgets, **arrays, **counts, finishes=finishes)


def _shapes(budgets: int, questions: int) -> dict[str, tuple[int, ...]]:
    cells = (budgets, questions)
    return {
        **dict.fromkeys(("correct", "absent", "thinking_tokens"), cells),
        **dict.fromkeys(("wrong", "right"), (*cells, -1)),
        "outcomes": (budgets, -1),
        "run_tokens": (budgets,),
    }


def _array(column: pa.ChunkedArray, name: str) -> NDArray[Any]:
    kind = {"right": np.int8, "run_tokens": np.float64}.get(name, np.int64)
    return column[0].values.to_numpy().astype(kind)
