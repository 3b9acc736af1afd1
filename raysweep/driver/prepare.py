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

from actors.checkpoint_files import remove_leftovers
from actors.quantize import ENVIRONMENT, quantize_in_steps
from raysweep.checkpoints.engine_files import Making
from raysweep.driver.ray_errors import reason_of
from raysweep.driver.ray_session import NO_GPU, ray_session
from raysweep.errors import ConfigError
from raysweep.memory import PROCESS_BYTES, weights_bytes
from raysweep.run_config import Cluster
from raysweep.system.machine import affordable_actors
from raysweep.system.quantities import GB


@dataclass(frozen=True)
class Made:
    """One checkpoint that was made, or why that failed."""

    making: Making
    failure: str | None = None


# Called with a checkpoint in work and the number of its model's layers that are done.
Tell = Callable[[Making, int], None]


def prepare(
    makings: Sequence[Making], cluster: Cluster, ended: Callable[[Made], None], tell: Tell
) -> tuple[Made, ...]:
    """Make all checkpoints, and call `ended` after each.

    Raises ConfigError if the disk has no room for them, or if gptqmodel is not installed.
    """
    check_installed(cluster)
    check_disk(makings)
    if not cluster.actors:
        largest = max(map(_making_bytes, makings))
        cluster = replace(cluster, actors=affordable_actors(len(makings), largest))
    task = ray.remote(
        num_cpus=cluster.cpus_per_actor,
        num_gpus=1 if cluster.gpus_per_actor is None else cluster.gpus_per_actor,
        num_returns="streaming",
        max_retries=1,
        max_calls=1,  # gptqmodel does not free the memory of a model, so each task gets a new process.
        runtime_env={"env_vars": {**ENVIRONMENT, **({} if cluster.on_gpus else NO_GPU)}},
    )(quantize_in_steps)
    session = uuid.uuid4().hex
    try:
        with ray_session(cluster):
            steps = {task.remote(m.recipe, m.checkpoint, session): m for m in makings}
            return tuple(_made(steps, ended, tell))
    finally:
        for making in makings:
            if "://" not in making.checkpoint.path:
                remove_leftovers(making.checkpoint, session)


def _making_bytes(making: Making) -> int:
    """An allowance for the process that makes a checkpoint: the model in 32 bit beside the one being made."""
    return PROCESS_BYTES + 6 * making.recipe.model.params


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
