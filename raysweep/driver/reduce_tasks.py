"""Partitions reduced as tasks of a Ray cluster, or in this process where there is none.

A partition is reduced by a function of what lies in its folder, so where that runs makes no difference.
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

TASKS_IN_FLIGHT = 256  # bounds what waits in the driver and in the object store


def reduce_partitions(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> list[Reduced]:
    """All partitions, in their order: on the Ray cluster that is configured or running, else here."""
    if cluster.address == "local" and not _ray_is_running():
        return reduce_here(partitions, sweep, store)
    return list(_on_ray(partitions, sweep, store.absolute, cluster))


def _reduce_as_task(partition: Partition, sweep: Sweep, store: Store) -> Reduced:
    """With workers of its own: a task knows nothing of the others."""
    with Workers(1) as workers:
        read = read_partition(partition, sweep, store)
        return reduce_partition(partition, sweep, read, Equivalence(workers))


def _ray_is_running() -> bool:
    """Whether this process is connected to Ray, which is not imported to find out."""
    ray = sys.modules.get("ray")
    return ray is not None and ray.is_initialized()


def _on_ray(
    partitions: Sequence[Partition], sweep: Sweep, store: Store, cluster: Cluster
) -> Iterator[Reduced]:
    """The partitions as Ray tasks, some of them ahead of the one that is awaited."""
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
