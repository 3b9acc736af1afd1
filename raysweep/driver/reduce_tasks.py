"""Partitions reduced as tasks of a Ray cluster, or in this process if there is no cluster.

Reducing a partition depends only on the files in its folder, so the result is the same wherever it runs.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

from raysweep.grading.equivalence import Equivalence
from raysweep.reducing.partitions import (
    Partition,
    Reduced,
    read_partition,
    reduce_here,
    reduce_partition,
)
from raysweep.run_config import Cluster, Sweep
from raysweep.storage.store import Store
from raysweep.system.workers import Workers

# Bounds the results that wait in the driver and in the object store.
TASKS_IN_FLIGHT = 256


def reduce_partitions(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> list[Reduced]:
    """Reduce all partitions, in their order, on the configured or running Ray cluster, else here."""
    if cluster.address == "local" and not _ray_is_running():
        return reduce_here(partitions, sweep, store)
    return list(_on_ray(partitions, sweep, store.absolute, cluster))


def _reduce_as_task(partition: Partition, sweep: Sweep, store: Store) -> Reduced:
    """Reduce one partition in a Ray task, with a worker process of its own."""
    with Workers(1) as workers:
        read = read_partition(partition, sweep, store)
        return reduce_partition(partition, sweep, read, Equivalence(workers))


def _ray_is_running() -> bool:
    """Whether this process is connected to Ray, without importing it."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _on_ray(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> Iterator[Reduced]:
    """Reduce the partitions as Ray tasks, up to TASKS_IN_FLIGHT at a time."""
    import ray

    from raysweep.driver.ray_session import ray_session

    with ray_session(replace(cluster, cpus_per_actor=1.0, gpus_per_actor=0.0)):
        task = ray.remote(_reduce_as_task).options(num_cpus=1)
        shared = ray.put(sweep)
        waiting: list[ray.ObjectRef] = []
        for partition in partitions:
            waiting.append(task.remote(partition, shared, store))
            if len(waiting) == TASKS_IN_FLIGHT:
                yield ray.get(waiting.pop(0))
        for reference in waiting:
            yield ray.get(reference)
