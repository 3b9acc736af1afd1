"""The figures as files of the run's folder, drawn again only where their data or the code has changed.

The one idea: figures/drawn.json names for each figure what it was drawn from, which is a hash of its
benchmark's results and of the code, and the size of each of its files. A figure whose name and files agree is
left alone. Figures of many scenarios are drawn by processes side by side. They read the results by themselves
and give bytes back, so this process alone writes.
"""

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
import pyarrow as pa

from raysweep.errors import ConfigError
from raysweep.reporting.figures import FIGURES, draw, encoded, file_stem
from raysweep.reporting.results import Results, read_results
from raysweep.storage.store import Store
from raysweep.storage.summary import read_mapping
from raysweep.system.linear_algebra import linear_algebra_on_one_thread
from raysweep.system.workers import CallError, Workers

DRAWN = "figures/drawn.json"

# With fewer scenarios the start of processes takes longer than drawing.
MANY_SCENARIOS = 2_000

# A figure's bytes by file ending; none where the results cannot answer its question.
Encodings = Mapping[str, bytes]


@dataclass(frozen=True)
class Wanted:
    """A figure of a benchmark, and what it is drawn from: a hash of the results and of the code."""

    benchmark: str
    name: str
    drawn_from: str

    @property
    def stem(self) -> str:
        return f"{file_stem(self.benchmark)}-{self.name}"


def write_figures(results: Results, store: Store) -> int:
    """Draw and write the figures that are missing or whose data have changed. Gives their number."""
    known, here = read_mapping(store, DRAWN), store.folder.versions("figures")
    wanted = list(_wanted(results))
    left = [one for one in wanted if not _is_drawn(one, known.get(one.stem), here)]
    drawn = {one.stem: known[one.stem] for one in wanted if one not in left}
    if drawn != known:
        _note(
            store, drawn
        )  # before files are replaced, so that a kill leaves none under a wrong name
    for one, encodings in _drawn(left, results, store):
        for ending, data in encodings.items():
            store.write_bytes(f"figures/{one.stem}.{ending}", data)
        sizes = {ending: len(data) for ending, data in encodings.items()}
        drawn[one.stem] = {"drawn_from": one.drawn_from, "bytes": sizes}
    if left:
        _note(store, drawn)
    return len(left)


def _note(store: Store, drawn: Mapping[str, Any]) -> None:
    store.write_text(DRAWN, json.dumps(drawn, indent=2, sort_keys=True) + "\n")


def _wanted(results: Results) -> Iterator[Wanted]:
    for benchmark in sorted(results.scenarios.benchmark.unique()):
        drawn_from = _content(results.of(benchmark))
        yield from (Wanted(benchmark, name, drawn_from) for name in FIGURES)


def _is_drawn(one: Wanted, known: Any, here: Mapping[str, str]) -> bool:
    """Whether the files of a figure are there, drawn from the same.

    here  the version of each file, which begins with its size
    """
    if not isinstance(known, dict) or known.get("drawn_from") != one.drawn_from:
        return False
    sizes = known.get("bytes")
    return isinstance(sizes, dict) and all(
        here.get(f"figures/{one.stem}.{ending}", "").startswith(f"{size}-")
        for ending, size in sizes.items()
    )


def _content(own: Results) -> str:
    """Hash of a benchmark's results and of the code that draws them."""
    made = hashlib.blake2b(_code().encode(), digest_size=8)
    for frame in (own.scenarios, own.frontier, own.thresholds, own.controls, own.inflation):
        made.update(_bytes(frame))
    for candidates in own.candidates.values():
        made.update(candidates.scores.tobytes())
    made.update(json.dumps(own.summary.get("thresholds")).encode())
    return made.hexdigest()


def _bytes(frame: pd.DataFrame) -> bytes:
    table, sink = pa.Table.from_pandas(frame, preserve_index=False), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return sink.getvalue().to_pybytes()


@cache
def _code() -> str:
    """Hash of raysweep's sources, and the version of matplotlib."""
    made = hashlib.blake2b(matplotlib.__version__.encode(), digest_size=8)
    for path in sorted(Path(__file__).parents[1].rglob("*.py")):
        made.update(path.read_bytes())
    return made.hexdigest()


def _drawn(
    wanted: Iterable[Wanted], results: Results, store: Store
) -> Iterator[tuple[Wanted, Encodings]]:
    """Each figure, drawn here or in processes side by side."""
    wanted, cores = list(wanted), os.cpu_count() or 1
    if len(results.scenarios) < MANY_SCENARIOS or cores < 2:
        for one in wanted:
            yield one, _encodings(results, one.benchmark, one.name)
        return
    root = store.absolute.root
    with Workers(min(cores, len(wanted) or 1)) as workers, ThreadPoolExecutor(cores) as threads:

        def ask(one: Wanted) -> Encodings:
            function = f"{__name__}:figure_as_text"
            try:
                found = workers.call(function, root, one.benchmark, one.name)
            except CallError as error:
                raise ConfigError(
                    f"stages: report: the figure {one.stem} cannot be drawn by a process of its own "
                    f"({error}); give more memory"
                ) from error
            return {ending: base64.b64decode(text) for ending, text in found.items()}

        yield from zip(wanted, threads.map(ask, wanted), strict=True)


def figure_as_text(root: str, benchmark: str, name: str) -> dict[str, str]:
    """A figure's files as base64 by ending, from the results in a run's folder. For a worker process."""
    encodings = _encodings(_results(root), benchmark, name)
    return {ending: base64.b64encode(data).decode() for ending, data in encodings.items()}


@cache
def _results(root: str) -> Results:
    return read_results(Store(root))


def _encodings(results: Results, benchmark: str, name: str) -> Encodings:
    own = results.of(benchmark)
    with linear_algebra_on_one_thread():
        figure = draw(name, own, own.batch_sizes[0])
    return encoded(figure) if figure else {}
