"""Which parts of a run are moved into fewer files: of engines that are done, or of all."""

import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from raysweep.errors import ConfigError, StorageError
from raysweep.planning.grid import made_streams, planned_engines
from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.storage.compaction import Compacted, compact_engine
from raysweep.storage.part import Part
from raysweep.storage.part_file import is_compacted
from raysweep.storage.store import Store

# A stage that makes samples moves those of an engine on a benchmark if they lie in this many files.
MANY_FILES = 16


class Compactor:
    """Compacts engines in threads of its own for the duration of its context.

    Trouble with one engine leaves its files as they are, and is noted.
    """

    def __init__(
        self,
        store: Store,
        benchmarks: Mapping[str, str],
        fewest: int = MANY_FILES,
        threads: int = 1,
    ):
        """`benchmarks` and `fewest` are those of `compact_engine`."""
        self.store, self.benchmarks, self.fewest = store, benchmarks, fewest
        self._pool, self._stopped = ThreadPoolExecutor(threads), threading.Event()
        self._running: dict[str, Future[Compacted]] = {}

    def __enter__(self) -> "Compactor":
        return self

    def __exit__(self, *_: object) -> None:
        """End after the file that is being written."""
        self._stopped.set()
        self._pool.shutdown(cancel_futures=True)

    def compact(self, engine_id: str) -> None:
        """Compact an engine, once."""
        if engine_id not in self._running:
            self._running[engine_id] = self._pool.submit(
                *(compact_engine, self.store, engine_id, self.benchmarks, self.fewest),
                lambda: not self._stopped.is_set(),
            )

    def results(self) -> tuple[Compacted, list[str]]:
        """Wait for all engines. Gives what was done, and a line on each that was left as it is.

        Raises LeaseLost if another driver took over.
        """
        done, troubles = Compacted(), []
        for engine_id, future in self._running.items():
            try:
                done += future.result()
            except (ConfigError, StorageError) as error:
                troubles.append(f"{engine_id} is left as it is: {error}")
        return done, troubles


def compactor_of(
    config: RunConfig,
    store: Store,
    parts: Iterable[Part],
    coming: Iterable[Shard] = (),
    fewest: int | None = None,
    threads: int = 1,
) -> Compactor:
    """A compactor for a run with these parts, and with those of shards that will be made.

    fewest  files that are worth a larger one; by default MANY_FILES
    """
    made = {part.stream_id for part in parts}
    makers, _ = planned_engines(config, made)
    streams = {**made_streams(config, makers, made), **{one.stream_id: one for one in coming}}
    benchmarks = {name: shard.benchmark for name, shard in streams.items()}
    return Compactor(store, benchmarks, fewest or MANY_FILES, threads)


class Countdown:
    """The samples that each engine still has to make. An engine without any is compacted."""

    def __init__(self, shards: Iterable[Shard], compactor: Compactor):
        self.compactor = compactor
        self.left: Counter[str] = Counter()
        for shard in shards:
            self.left[shard.engine.engine_id] += shard.samples

    def finished(self, shard: Shard) -> None:
        engine_id = shard.engine.engine_id
        self.left[engine_id] -= shard.samples
        if self.left[engine_id] <= 0:
            self.compactor.compact(engine_id)


def in_many_files(parts: Iterable[Part]) -> set[str]:
    """The engines that have samples of a stream in MANY_FILES files of one part, or more."""
    single = Counter((p.engine_id, p.stream_id) for p in parts if not is_compacted(p.file))
    return {engine_id for (engine_id, _), files in single.items() if files >= MANY_FILES}
