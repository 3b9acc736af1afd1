"""Which reduction the result tables belong to. Tables of two reductions must not be read side by side.

The one idea: a reduction is named by the hash of all that it found, and each of its tables and summary.json
carry this name. Equal results have the same name. summary.json is written last, so a reduce that was killed
between two files leaves names that differ.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.storage.result_files import REDUCED
from raysweep.storage.store import Store
from raysweep.storage.summary import read_summary
from raysweep.system.content import canonical

# The name of the reduction in a table's metadata and in summary.json.
REDUCTION_KEY = b"raysweep.reduction"
REDUCTION = "reduction"

# The entry of summary.json that names all that the reduction follows from.
FOLLOWS_FROM = "reduced_from"


def reduction_id(tables: Mapping[str, pa.Table], summary: Mapping[str, Any]) -> str:
    """Hash (16 hex digits) of the tables and of what a reduction adds to summary.json, besides paths."""
    found = {name: value for name, value in summary.items() if name != "parts_set_aside"}
    made = hashlib.blake2b(canonical(found).encode(), digest_size=8)
    for name, table in sorted(tables.items()):
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, table.schema) as stream:
            stream.write_table(table)
        made.update(name.encode() + sink.getvalue())
    return made.hexdigest()


def reductions(store: Store) -> dict[str, str | None]:
    """The reduction of each table that is there; None for one of an older version, which named none."""
    return {name: _of_table(store, name) for name in REDUCED if store.exists(name)}


def _of_table(store: Store, name: str) -> str | None:
    named = store.read_metadata(name).get(REDUCTION_KEY)
    return None if named is None else named.decode()


def summary_if_current(store: Store, follows_from: str) -> dict[str, Any] | None:
    """summary.json, if all tables are there and belong to the reduction that follows from these inputs."""
    summary = read_summary(store)
    if not follows_from or summary.get(FOLLOWS_FROM) != follows_from:
        return None
    try:
        found = reductions(store)
    except ConfigError:
        return None
    whole = found.keys() == REDUCED.keys() and set(found.values()) == {summary.get(REDUCTION)}
    return summary if whole else None


def check_one_reduction(store: Store) -> None:
    """Raise ConfigError if the tables and summary.json belong to different reductions."""
    found = reductions(store)
    summary = read_summary(store)
    names = {*found.values(), *([summary.get(REDUCTION)] if "scenarios" in summary else [])}
    if len(names) > 1:
        raise ConfigError(
            f"stages: the result tables in {store.path('')} belong to {len(names)} reductions, as after "
            "one that was stopped while it wrote them; write them again with stages=[reduce]"
        )
