"""Checks of a run's tables: their bytes, their columns, and whether they belong together."""

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from raysweep.errors import ConfigError, StorageError
from raysweep.storage import result_files
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.store import EPOCH_KEY, Store
from raysweep.storage.summary import SUMMARY
from raysweep.upkeep.problems import Problem, schema_problem
from raysweep.upkeep.verify_decisions import check_decisions

# The name of the reduction, in the metadata of its tables and in summary.json.
REDUCTION_KEY = b"raysweep.reduction"
REDUCTION = "reduction"
# Columns that the tables of early runs do not have.
_LATER_OF_WEIGHTS = {"weight_symmetric", "weight_act_order"}
LATER_IN_TABLES = {
    "engines.parquet": {*_LATER_OF_WEIGHTS, "working_copy_bytes", "control"},
    "scenarios.parquet": _LATER_OF_WEIGHTS,
    "frontier.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
    "frontiers.parquet": {*_LATER_OF_WEIGHTS, "weight_group_size"},
}


def check_tables(store: Store) -> Iterator[Problem]:
    """Check the existing tables against their schemas and each other, summary.json, and the decisions."""
    own: dict[str, Mapping[bytes, bytes]] = {}
    rows: dict[str, int] = {}
    for name, schema in result_files.TABLES.items():
        if not store.exists(name):
            continue
        try:
            table = store.read_whole_table(name)
        except (ConfigError, StorageError) as error:
            yield Problem(name, str(error), mended=isinstance(error, DamagedPartError))
            continue
        if problem := schema_problem(table.schema, schema, LATER_IN_TABLES.get(name, ())):
            yield Problem(name, problem)
        own[name] = table.schema.metadata or {}
        rows[name] = table.num_rows
    summary, problems = _summary(store, rows)
    yield from problems
    yield from _mixed({name: own[name] for name in result_files.REDUCED if name in own}, summary)
    yield from itertools.starmap(Problem, check_decisions(store))


def _mixed(
    reduced: Mapping[str, Mapping[bytes, bytes]], summary: Mapping[str, Any]
) -> Iterator[Problem]:
    """The tables of another reduction than the one that summary.json tells of.

    reduced  the metadata of each table of a reduction
    """
    names = {name: own.get(REDUCTION_KEY, b"").decode() for name, own in reduced.items()}
    right = summary.get(REDUCTION)
    if right is None and len(set(names.values())) > 1:
        right = Counter(filter(None, names.values())).most_common(1)[0][0]
    if right is None:
        yield from _of_other_drivers(reduced)
        return
    for name, reduction in names.items():
        if reduction != right:
            yield Problem(name, "it was written by another reduction than the other tables")


def _of_other_drivers(reduced: Mapping[str, Mapping[bytes, bytes]]) -> Iterator[Problem]:
    """The tables that come from an older epoch than the newest one. Early tables name no reduction."""
    epochs = {name: own.get(EPOCH_KEY, b"0") for name, own in reduced.items()}
    newest = max(epochs.values(), key=int, default=b"0")
    for name, epoch in epochs.items():
        if epoch != newest:
            text = f"it was written by another driver (epoch {epoch.decode()}) than the others"
            yield Problem(name, text)


def _summary(store: Store, rows: Mapping[str, int]) -> tuple[dict[str, Any], list[Problem]]:
    """summary.json, {} if it cannot be read, and what is wrong with it."""
    if not store.exists(SUMMARY):
        return {}, []
    try:
        summary = json.loads(store.read_text(SUMMARY))
    except ValueError as error:
        return {}, [Problem(SUMMARY, f"it is not JSON ({error})")]
    if not isinstance(summary, dict):
        return {}, [Problem(SUMMARY, "it is not a JSON object")]
    counted, there = summary.get("scenarios"), rows.get(result_files.SCENARIOS)
    if there is None or counted in (None, there):
        return summary, []
    text = f"it has {there:,} rows, but {SUMMARY} counts {counted} scenarios"
    return summary, [Problem(result_files.SCENARIOS, text)]
