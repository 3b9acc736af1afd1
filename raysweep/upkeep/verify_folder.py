"""Checks of what stands beside the samples and tables: the run's record, progress, leases and stray folders.

That a part is missing can be known only from what counted its samples: the tables of the last reduction.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from raysweep.errors import ConfigError, StorageError
from raysweep.planning.grid import made_streams
from raysweep.progress.progress_json import PROGRESS, read_progress
from raysweep.run_config import RunConfig
from raysweep.storage import result_files
from raysweep.storage.lease import LEASES, NAME
from raysweep.storage.part import Part
from raysweep.storage.part_file import PART_NAME
from raysweep.storage.record import CONFIG, read_record
from raysweep.storage.store import Store
from raysweep.upkeep.problems import Problem
from raysweep.upkeep.verify import makers

# Readers of data sets ignore these files.
HIDDEN = re.compile(r"/[._]")
# What each driver says of itself in its lease.
SAID = ("epoch", "driver", "host", "pid")


def check_folder_files(store: Store, parts: Iterable[str]) -> Iterator[Problem]:
    """Check everything but samples and tables. `parts` are the names of all files of samples."""
    yield from _record(store, any(True for _ in parts))
    if store.exists(PROGRESS) and read_progress(store) is None:
        yield Problem(PROGRESS, "it does not say how far a stage is")
    for name in store.folder.names(LEASES):
        if name.endswith(".json") and (text := _lease_problem(store, name)):
            yield Problem(name, text)
    for name in store.folder.names("samples"):
        if not PART_NAME.search(name) and not HIDDEN.search(name):
            yield Problem(
                name, "it is no file of samples, but readers of data sets take it for one"
            )
    for name in store.folder.folders("samples"):
        if PART_NAME.search(name):
            yield Problem(name, "it is a folder and not a file of samples")


def _record(store: Store, has_samples: bool) -> Iterator[Problem]:
    if has_samples and not store.exists(CONFIG):
        yield Problem(
            CONFIG, "it is missing, so it is unknown how the samples were made", mended=False
        )
        return
    try:
        record = read_record(store)
    except (ConfigError, StorageError) as error:
        yield Problem(CONFIG, str(error), mended=False)
        return
    if has_samples and not record.get("identity"):
        yield Problem(CONFIG, "its identity does not say how the samples were made", mended=False)


def _lease_problem(store: Store, name: str) -> str | None:
    found = NAME.fullmatch(name)
    if not found:
        return "it has no name of a lease"
    try:
        note = json.loads(store.read_bytes(name))
    except ValueError:
        return "it is not JSON"
    if not isinstance(note, Mapping) or not set(SAID) <= set(note):
        return "no driver has written it, since it does not say which one"
    if note["epoch"] != int(found[1]):
        return f"its epoch is {note['epoch']}, which is not that of its name"
    return None


def check_missing(config: RunConfig, store: Store, parts: Iterable[Part]) -> Iterator[Problem]:
    """Samples that the last reduction counted and that no part has. The problem names its scenarios."""
    if not store.exists(result_files.SCENARIOS):
        return
    columns = ["engine_id", "benchmark", "n_questions", "n_samples"]
    try:
        rows = store.read_table(result_files.SCENARIOS, columns).to_pylist()
    except (ConfigError, StorageError):
        return  # which check_tables tells
    counted: Counter[tuple[str, str]] = Counter()
    for row in rows:
        key = row["engine_id"], row["benchmark"]
        counted[key] = max(counted[key], row["n_questions"] * row["n_samples"])
    held = _held(config, parts)
    for (engine_id, benchmark), least in counted.items():
        if (there := held[engine_id, benchmark]) < least:
            yield Problem(
                result_files.SCENARIOS,
                f"it counts at least {least:,} samples of {engine_id} on {benchmark}, but the parts have "
                f"only {there:,}; the stage generate makes the others again",
            )


def _held(config: RunConfig, parts: Iterable[Part]) -> Counter[tuple[str, str]]:
    """The number of different samples by engine and benchmark, of those that the run asks for."""
    by_stream: dict[str, set[tuple[str, int]]] = defaultdict(set)
    for part in parts:
        by_stream[part.stream_id].update(part.cells)
    cells: dict[tuple[str, str], set[tuple[str, int]]] = defaultdict(set)
    for stream_id, stream in made_streams(config, makers(config), by_stream).items():
        cells[stream.engine.engine_id, stream.benchmark] |= by_stream[stream_id]
    return Counter({key: len(own) for key, own in cells.items()})
