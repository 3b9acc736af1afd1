"""Partitions reduced: those whose votes are stored from these, the others as tasks of a Ray cluster or here.

Counting a partition depends only on the files in its folder, so the result is the same wherever it runs. The
new votes of an engine are stored before those of the next one are waited for, so that a reduce that was
stopped goes on where it was. This process alone writes them.
"""

import itertools
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace

from raysweep.grading.equivalence import Equivalence
from raysweep.reducing.answer_counts import Tally
from raysweep.reducing.partitions import (
    Counted,
    Partition,
    Reduced,
    count,
    count_here,
    read_partition,
    reduce_votes,
)
from raysweep.reducing.stored_votes import FOLDER, read_votes, rests_on_of, votes_name, write_votes
from raysweep.run_config import Cluster, Sweep
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

# Bounds the results that wait in the driver and in the object store.
TASKS_IN_FLIGHT = 256

# Files of stored votes whose footers are read at the same time.
FOOTERS_IN_FLIGHT = 16


def reduce_partitions(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> list[Reduced]:
    """Reduce all partitions, in their order, and store the votes that are new.

    Where samples have to be read, this is done on the configured or running Ray cluster, else here.
    """
    stored = _stored(partitions, store)
    new = [partition for partition in partitions if partition.rests_on not in stored]
    reduced: list[Reduced] = []
    with closing(_count(new, sweep, store, cluster)) as counted:
        for _, own in itertools.groupby(partitions, lambda one: one.engine.engine_id):
            reduced += _reduce_engine(list(own), stored, counted, sweep, store)
    return reduced


def _stored(partitions: Sequence[Partition], store: Store) -> set[str]:
    """All that these partitions' votes follow from, as far as stored votes name it."""
    wanted = {partition.rests_on for partition in partitions} - {""}
    names = {votes_name(partition.engine.engine_id) for partition in partitions}
    here = sorted(names.intersection(store.folder.names(FOLDER)))
    with ThreadPoolExecutor(FOOTERS_IN_FLIGHT) as threads:
        found = threads.map(lambda name: rests_on_of(store, name).values(), here)
        return wanted & {one for own in found for one in own}


def _reduce_engine(
    partitions: Sequence[Partition],
    stored: set[str],
    counted: Iterator[Counted],
    sweep: Sweep,
    store: Store,
) -> list[Reduced]:
    """Reduce the partitions of one engine, and store its votes if some are new.

    counted  the votes that are not stored, of this engine first
    """
    engine = partitions[0].engine
    known: dict[str, Tally] = {}
    if any(partition.rests_on in stored for partition in partitions):
        known = read_votes(store, engine, sweep, stored)
    of_each = [
        _votes(partition, known.get(partition.rests_on), stored, counted, sweep, store)
        for partition in partitions
    ]
    whole = {
        partition.rests_on: one.votes
        for partition, one in zip(partitions, of_each, strict=True)
        if partition.rests_on and not one.set_aside
    }
    if whole.keys() - known.keys():
        write_votes(store, whole)
    pairs = zip(partitions, of_each, strict=True)
    return [reduce_votes(partition, sweep, one) for partition, one in pairs]


def _votes(
    partition: Partition,
    known: Tally | None,
    stored: set[str],
    counted: Iterator[Counted],
    sweep: Sweep,
    store: Store,
) -> Counted:
    if known is not None:
        return Counted(known)
    if partition.rests_on in stored:  # They were stored, but cannot be read.
        return next(count_here([partition], sweep, store))
    return next(counted)


def _count(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> Generator[Counted]:
    if cluster.address == "local" and not _ray_is_running():
        yield from count_here(partitions, sweep, store)
    elif partitions:
        yield from _on_ray(partitions, sweep, store.absolute, cluster)


def _count_as_task(partition: Partition, sweep: Sweep, store: Store) -> Counted:
    """Count one partition in a Ray task, with a worker process of its own."""
    with Workers(1) as workers:
        read = read_partition(partition, sweep, store)
        return count(partition, sweep, read, Equivalence(workers))


def _ray_is_running() -> bool:
    """Whether this process is connected to Ray, without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _on_ray(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> Generator[Counted]:
    """Count the partitions as Ray tasks, up to TASKS_IN_FLIGHT at a time."""
    import ray

    from raysweep.driver.ray_session import ray_session

    with ray_session(replace(cluster, cpus_per_actor=1.0, gpus_per_actor=0.0)):
        task = ray.remote(_count_as_task).options(num_cpus=1)
        shared = ray.put(sweep)
        waiting: list[ray.ObjectRef] = []
        for partition in partitions:
            waiting.append(task.remote(partition, shared, store))
            if len(waiting) == TASKS_IN_FLIGHT:
                yield ray.get(waiting.pop(0))
        for reference in waiting:
            yield ray.get(reference)
