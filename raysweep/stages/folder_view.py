"""What a run's folder holds and what is left to do, read once for all stages of a command.

The note of each part is read once (`storage.notes`). A later look lists the folder again and reads only what
has changed. The plan and its cost follow from the parts, and from the records of decisions if the run is
adaptive. They are made again only if these have changed.
"""

from collections.abc import Callable
from datetime import datetime

import pyarrow as pa

from raysweep.adaptive.rounds import Rounds, restored
from raysweep.planning.estimate import Estimate, estimates
from raysweep.planning.grid import planned_engines
from raysweep.planning.loads import loads_of, noted_loads
from raysweep.planning.plan import Plan, make_plan
from raysweep.planning.plan_tables import write_plan
from raysweep.run_config import RunConfig
from raysweep.storage.damaged import set_aside
from raysweep.storage.notes import Notes, look
from raysweep.storage.part import Part
from raysweep.storage.part_file import once, place_of
from raysweep.storage.store import Store
from raysweep.system.collecting import rare_collections


class FolderView:
    """The parts of a run's folder, and the plan that follows from them."""

    def __init__(
        self, config: RunConfig, store: Store, tell: Callable[[str], None] = lambda path: None
    ):
        """`tell` hears the new path of each damaged part that was set aside."""
        self.config, self.store, self.tell = config, store, tell
        self._notes: Notes | None = None
        self._parts: tuple[Part, ...] = ()
        self._rounds: Rounds | None = None
        self._plan: Plan | None = None
        self._costs: tuple[Estimate, ...] | None = None
        self._written: Plan | None = None

    def look(self) -> None:
        """List the folder, and read the footers of new parts and the records of an adaptive run.

        A damaged part is renamed, so that it no longer counts, and told. Raises ConfigError for a part of
        another schema version.
        """
        with rare_collections():
            notes = look(self.store, self._notes or Notes())
        pa.default_memory_pool().release_unused()
        for name in notes.damaged:
            self.tell(self.store.path(set_aside(self.store.folder, name)))
        if self._notes is None or not _same(notes, self._notes):
            self._parts, self._plan, self._costs = tuple(once(notes.parts)), None, None
        self._notes = notes
        self._look_at_records()

    def _look_at_records(self) -> None:
        if self.config.sweep.adaptive is None:
            return
        found = restored(self.config, self.store, planned_engines(self.config, self._streams)[0])
        if self._rounds is None or found.looks != self._rounds.looks:
            self._rounds, self._plan, self._costs = found, None, None

    def forget(self) -> None:
        """Trust nothing that was seen at the next look, because parts were rewritten under their names."""
        self._notes = None

    @property
    def parts(self) -> tuple[Part, ...]:
        """All finished parts, each once, in the order of their names."""
        if self._notes is None:
            self.look()
        return self._parts

    @property
    def newest(self) -> datetime | None:
        """When the newest part was written. None if there is none."""
        if self._notes is None:
            self.look()
        return self._notes.newest if self._notes else None

    @property
    def copied(self) -> set[str]:
        """The engines of which a part lies in two files, because compaction was cut short."""
        parts, every = self.parts, self._notes.parts if self._notes else ()
        if len(every) == len(parts):
            return set()
        counted = set(map(place_of, parts))
        return {part.engine_id for part in every if place_of(part) not in counted}

    @property
    def _streams(self) -> set[str]:
        return {part.stream_id for part in self.parts}

    @property
    def rounds(self) -> Rounds | None:
        """The rounds of an adaptive run, as the records tell of them. None if the run is not adaptive."""
        if self._notes is None:
            self.look()
        return self._rounds

    @property
    def plan(self) -> Plan:
        """Every shard that the run wants so far, finished or missing."""
        parts, rounds = self.parts, self.rounds
        if self._plan is None:
            with rare_collections():
                self._plan = make_plan(self.config, parts, rounds.demands() if rounds else None)
        return self._plan

    @property
    def costs(self) -> tuple[Estimate, ...]:
        """The cost of the plan, one estimate per engine."""
        plan = self.plan
        if self._costs is None:
            loads = loads_of(noted_loads(self.store), plan.engines)
            self._costs = estimates(self.config, plan, loads)
        return self._costs

    def write_plan(self) -> None:
        """Write engines.parquet and plan.parquet, unless this plan has been written already."""
        if self._written is not self.plan:
            write_plan(self.config, self.plan, self.costs, self.store)
            self._written = self.plan


def _same(notes: Notes, before: Notes) -> bool:
    """Whether the same parts lie in the same files."""
    if notes is before:
        return True
    files = ([part.file for part in one.parts] for one in (notes, before))
    return notes.parts == before.parts and next(files) == next(files)
