"""Make the missing quantised checkpoints, each as a Ray task of its own.

A checkpoint appears whole or not at all, so a killed task leaves nothing that a later run would trust. A
finished checkpoint is never made again.
"""

import importlib.util
import shutil
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from actors.checkpoint_files import remove_all_leftovers, remove_leftovers
from actors.quantize import ENVIRONMENT, LEAST_WORKERS, quantize_in_steps
from raysweep.checkpoints.engine_files import Making
from raysweep.driver.actor_environment import handed_over, hub_environment
from raysweep.driver.preflight import check_nodes
from raysweep.driver.prepare_needs import Ask, ask_of, hosts
from raysweep.driver.ray_errors import reason_of
from raysweep.driver.ray_session import NO_GPU, ray_session
from raysweep.errors import ConfigError
from raysweep.memory import weights_bytes
from raysweep.planning.quantising import best_gpu, work_of
from raysweep.recipe import Document
from raysweep.run_config import Cluster
from raysweep.storage.address import absolute, is_local
from raysweep.system.machine import affordable_actors, usable_cpus
from raysweep.system.quantities import GB


@dataclass(frozen=True)
class Made:
    """One checkpoint that was made, or why that failed."""

    making: Making
    failure: str | None = None


# Called with a checkpoint in work and the number of its model's layers that are done.
Tell = Callable[[Making, int], None]


def prepare(
    makings: Sequence[Making],
    folder: str,
    cluster: Cluster,
    ended: Callable[[Made], None],
    tell: Tell,
    documents: Sequence[Document] | None = None,
) -> tuple[Made, ...]:
    """Make all checkpoints, and call `ended` after each.

    folder     the folder or address of all checkpoints, which every node must see
    documents  published calibration texts, which recipes only name; None if the recipes hold their texts

    Raises ConfigError if the disk has no room for them, if gptqmodel is not installed, or if a node cannot be
    used.
    """
    check_installed(cluster)
    if is_local(folder):
        remove_all_leftovers(Path(folder))
    check_disk(makings)
    cluster = local_share(makings, cluster)
    session = uuid.uuid4().hex
    try:
        with ray_session(cluster):
            folders = (("prepare.checkpoints", absolute(folder)),)
            paths = {making.recipe.model.path for making in makings}
            local = tuple(sorted(filter(is_local, paths)))
            check_nodes(cluster, folders, local, ("actors.quantize",), ("torch", "gptqmodel"))
            texts = None if documents is None else ray.put(tuple(documents))
            steps, outcomes = {}, []
            for making in makings:
                step = _submitted(making, cluster, session, texts)
                if isinstance(step, Made):
                    outcomes.append(step)
                    ended(step)
                else:
                    steps[step] = making
            return (*outcomes, *_made(steps, ended, tell))
    finally:
        for making in makings:
            if "://" not in making.checkpoint.path:
                remove_leftovers(making.checkpoint, session)


def local_share(makings: Sequence[Making], cluster: Cluster) -> Cluster:
    """The cluster; on this machine alone, its CPUs are shared among as many makings as its memory holds."""
    if cluster.address != "local" or cluster.actors:
        return cluster
    largest = max(work_of(making.recipe).host_bytes(cluster.on_gpus) for making in makings)
    actors = affordable_actors(len(makings), largest)
    cpus = cluster.cpus_per_actor if cluster.on_gpus else usable_cpus() // actors
    return replace(cluster, actors=actors, cpus_per_actor=max(cpus, cluster.cpus_per_actor))


def _submitted(making: Making, cluster: Cluster, session: str, texts: Any) -> Any:
    """The steps of a task that makes the checkpoint, or why no node can run it."""
    work = work_of(making.recipe)
    gpu = best_gpu(work, cluster)
    ask = ask_of(work, gpu, cluster, hosts(cluster))
    if isinstance(ask, str):
        return Made(making, ask)
    known = gpu is not None or not cluster.on_gpus
    modelled_s = work.seconds(gpu, ask.cpus) if known else 0.0
    task: Any = ray.remote(
        **ask.options,
        num_returns="streaming",
        max_retries=1,
        max_calls=1,  # gptqmodel does not free the memory of a model, so each task gets a new process.
        runtime_env={"env_vars": environment(ask)},
    )(quantize_in_steps)
    return task.remote(
        making.recipe, making.checkpoint, session, texts, modelled_s, variables=handed_over()
    )


def environment(ask: Ask) -> dict[str, str]:
    """Environment variables for a task: gptqmodel's workers are as many as its CPUs."""
    workers = {"GPTQMODEL_CPU_WORKERS": str(max(LEAST_WORKERS, int(ask.cpus)))}
    return {**ENVIRONMENT, **workers, **hub_environment(), **({} if ask.gpus else NO_GPU)}


def _made(steps: dict[Any, Making], ended: Callable[[Made], None], tell: Tell) -> Iterator[Made]:
    """The checkpoints in the order in which they end, while their steps are told."""
    while steps:
        step: Any = ray.wait(list(steps), num_returns=1)[0][0]
        failure = None
        try:
            done: Any = ray.get(next(step))
            tell(steps[step], done)
            continue
        except StopIteration:
            pass
        except RayError as error:
            failure = reason_of(error)
        made = Made(steps.pop(step), failure)
        ended(made)
        yield made


def check_installed(cluster: Cluster) -> None:
    """Raise ConfigError if the workers run on this machine and gptqmodel is not installed."""
    if cluster.address == "local" and importlib.util.find_spec("gptqmodel") is None:
        raise ConfigError(
            "sweep.weights: quantising needs gptqmodel, which is not installed; "
            "pip install 'raysweep[quantize]', or name published files in the model's `quantized`"
        )


def check_disk(makings: Sequence[Making]) -> None:
    """Raise ConfigError if the checkpoints do not fit on their disk."""
    needed = sum(weights_bytes(m.recipe.model, m.recipe.weights) for m in makings)
    path = makings[0].checkpoint.path
    if "://" in path:
        return
    parent = next(folder for folder in Path(path).parents if folder.exists())
    free = shutil.disk_usage(parent).free
    if needed > free:
        raise ConfigError(
            f"prepare.checkpoints: {parent} has {free / GB:.1f} GB free, and the missing checkpoints "
            f"take {needed / GB:.1f} GB; free some space, or name another folder"
        )
