"""The decisions of a run, as its folder keeps them below `adaptive/`: two files for each look at a benchmark.

The table names what is out, and the JSON file says by which rules and on which samples. The JSON file is
written last and names the content of the table, so a record that was half written is none. It also names the
record before it, so none that followed another decision counts. A record made by other rules, or of other
engines, questions or budgets, does not count either: stopping is never final.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from raysweep.adaptive.decisions import Look, Out
from raysweep.adaptive.rules import Rules
from raysweep.run_config import Sweep
from raysweep.spec import Benchmark, EngineSpec
from raysweep.storage.comparison_schemas import DECISIONS
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.store import Store
from raysweep.system.content import content_hash
from raysweep.system.json_text import parsed_json

FOLDER = "adaptive"
RECORD_NAME = re.compile(rf"^{FOLDER}/[^/]+-\d{{5}}\.(json|parquet)$")

# Critical values that are computed on other machines agree up to this relative difference.
ROUNDING = 1e-6


@dataclass(frozen=True)
class Record:
    """A look, and the ids of the engines that took part in it: those that some node can hold."""

    look: Look
    engines: tuple[str, ...]


@dataclass(frozen=True)
class Asked:
    """What a benchmark's looks decide: which engines, budgets and group sizes matter, by which rules.

    engines  may have fewer than the sweep, if some fit on no GPU of the cluster
    """

    rules: Rules
    benchmark: Benchmark
    engines: tuple[EngineSpec, ...]
    token_budgets: tuple[int, ...]
    group_sizes: tuple[int, ...]

    @classmethod
    def of(
        cls, sweep: Sweep, rules: Rules, benchmark: Benchmark, engines: Iterable[EngineSpec]
    ) -> "Asked":
        return cls(rules, benchmark, tuple(engines), sweep.token_budgets, sweep.group_sizes)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(engine.engine_id for engine in self.engines)

    def among(self, names: Iterable[str]) -> "Asked | None":
        """The same of the engines with these ids. None if one of them is unknown."""
        known = {engine.engine_id: engine for engine in self.engines}
        names = tuple(names)
        if not set(names) <= set(known):
            return None
        own = tuple(known[name] for name in names)
        return Asked(self.rules, self.benchmark, own, self.token_budgets, self.group_sizes)

    @property
    def content(self) -> str:
        """Names all of it by content. Answers are graded by gold answers and a grader, which belong to it."""
        golds = [question.gold for question in self.benchmark.questions]
        graded = (self.benchmark.asked, golds, self.benchmark.grader)
        engines = [engine.content for engine in self.engines]
        return content_hash(
            _plain(asdict(self.rules)), graded, engines, self.token_budgets, self.group_sizes
        )


def record_name(benchmark: str, n: int, ending: str) -> str:
    """The name of a record's file; a benchmark whose name no file can have gets a hash."""
    safe = re.sub(r"[^\w.-]", "_", benchmark)
    named = safe if safe == benchmark else f"{safe}-{content_hash(benchmark)}"
    return f"{FOLDER}/{named}-{n:05}.{ending}"


def write_look(store: Store, asked: Asked, before: Sequence[Look], look: Look) -> None:
    """Write the record of a look that follows others. The table is written first."""
    table = as_table(look)
    store.write_table(record_name(look.benchmark, look.n, "parquet"), table)
    document = {
        "benchmark": look.benchmark,
        "samples_per_question": look.n,
        "rules": _plain(asdict(asked.rules)),
        "asked": asked.content,
        "engines": list(asked.names),
        "after": [same(one) for one in before],
        "inputs": look.inputs,
        "critical": look.critical,
        "compared": look.compared,
        "budgets": look.budgets,
        "prompts": look.prompts,
        "out": {"rows": table.num_rows, "content": content_of(table)},
    }
    text = json.dumps(document, indent=2) + "\n"
    store.write_text(record_name(look.benchmark, look.n, "json"), text)


def read_looks(store: Store, asked: Asked) -> tuple[Record, ...]:
    """The records of a benchmark that count, from the first look on."""
    return tuple(_read_looks(store, asked))


def _read_looks(store: Store, asked: Asked) -> Iterator[Record]:
    before: list[str] = []
    for n in asked.rules.looks[:-1]:
        record = _read(store, asked, n, before)
        if record is None:
            return
        yield record
        before.append(same(record.look))


def _read(store: Store, asked: Asked, n: int, before: Sequence[str]) -> Record | None:
    document = read_document(store, record_name(asked.benchmark.name, n, "json"))
    try:
        engines = tuple(document["engines"])
        own = asked.among(engines)
        if own is None or document["asked"] != own.content or document["after"] != list(before):
            return None
        table = store.read_whole_table(record_name(asked.benchmark.name, n, "parquet"))
        look = Look(
            benchmark=asked.benchmark.name,
            n=n,
            inputs=document["inputs"],
            critical=float(document["critical"]),
            compared=int(document["compared"]),
            out=outs_of(table),
            budgets=_counts(document["budgets"]),
            prompts=_counts(document["prompts"]),
        )
        whole = document["out"] == {"rows": table.num_rows, "content": content_of(table)}
    except (DamagedPartError, KeyError, TypeError, ValueError, AttributeError):
        return None
    return Record(look, engines) if whole else None


def _counts(found: Mapping[str, Any]) -> dict[str, int]:
    return {str(key): int(value) for key, value in found.items()}


def read_document(store: Store, name: str) -> Mapping[str, Any]:
    """The JSON file of a record. Empty if it is missing or cannot be read."""
    try:
        found = parsed_json(store.text_if_there(name) or "{}")
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def drop_looks(store: Store, asked: Asked, after: int) -> bool:
    """Remove the records of a benchmark's looks after `after` samples. Gives whether there were any."""
    names = [
        record_name(asked.benchmark.name, n, ending)
        for n in asked.rules.looks
        if n > after
        for ending in ("json", "parquet")
    ]
    there = [name for name in names if store.exists(name)]
    for name in there:
        store.fence()
        store.folder.remove(name)
    return bool(there)


def same(look: Look) -> str:
    """Names a decision by its samples and by what it decides, but by no number that may be rounded."""
    out = sorted((list(one.place), one.batch_size) for one in look.out)
    return content_hash(look.benchmark, look.n, look.inputs, out, look.budgets)


def agree(one: Look, other: Look) -> bool:
    """Whether two looks are the same decision from the same samples."""
    close = math.isclose(one.critical, other.critical, rel_tol=ROUNDING)
    return same(one) == same(other) and close


def as_table(look: Look) -> pa.Table:
    """A row for each configuration that is out at a batch size."""
    rows = [
        {
            "benchmark": look.benchmark,
            "samples_per_question": look.n,
            "batch_size": one.batch_size,
            **dict(zip(("engine_id", "token_budget", "group_size"), one.place, strict=True)),
            **dict(zip(("by_engine_id", "by_token_budget", "by_group_size"), one.by, strict=True)),
            "margin": one.margin,
        }
        for one in look.out
    ]
    return pa.Table.from_pylist(rows, schema=DECISIONS)


def outs_of(table: pa.Table) -> tuple[Out, ...]:
    """What the rows of a record's table say. Raises KeyError for a table without its columns."""
    return tuple(
        Out(
            place=(row["engine_id"], row["token_budget"], row["group_size"]),
            batch_size=row["batch_size"],
            by=(row["by_engine_id"], row["by_token_budget"], row["by_group_size"]),
            margin=row["margin"],
        )
        for row in table.to_pylist()
    )


def content_of(table: pa.Table) -> str:
    return content_hash(table.to_pylist())


def _plain(values: Any) -> Any:
    """Values as JSON gives them back."""
    return json.loads(json.dumps(values))
