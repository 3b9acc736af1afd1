"""Reads the configuration's `cluster`: where actors run, and which kinds of GPU the cluster has.

gpu: null                                       CPUs, or GPUs of an unknown kind
gpu: h100-80                                    the name of a file in gpu/
gpu: {name: h100-80, usd_per_hour: 2.1}         that file with some keys changed, or all keys given
gpu: [h100-80, l4-24]     gpus: [64, 8]         several kinds, and the number of GPUs of each
gpus_per_node: 8                                the most GPUs of a node, or a list, one of each kind
"""

from collections.abc import Sequence
from pathlib import Path

from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.fields import Fields, refuse_duplicates, whole_number
from raysweep.errors import ConfigError, shown
from raysweep.run_config import Cluster, Gpu, Pool

CLUSTER_KEYS = (
    *("address", "actors", "cpus_per_actor", "gpus_per_actor"),
    *("gpu", "gpus", "gpus_per_node", "autoscaling", "send_code"),
)


def read_cluster(fields: Fields, definitions: Definitions) -> Cluster:
    """The cluster on which the actors run."""
    fields.only(CLUSTER_KEYS)
    pools, autoscaling = read_pools(fields, definitions), fields.flag("autoscaling")
    if autoscaling and any(pool.per_node is None for pool in pools):
        raise ConfigError(
            f"{fields.at('gpus_per_node')}: missing, and nodes that are still to come cannot be asked; "
            "write the most GPUs of a node, such as 1 or 8"
        )
    return Cluster(
        address=fields.text("address"),
        actors=None if fields.value("actors") is None else fields.integer("actors"),
        cpus_per_actor=fields.number("cpus_per_actor", least=0.01),
        gpus_per_actor=read_gpus_per_actor(fields, pools),
        pools=pools,
        autoscaling=autoscaling,
        send_code=fields.flag("send_code"),
    )


def read_gpus_per_actor(fields: Fields, pools: Sequence[Pool]) -> float | None:
    """GPUs per actor. None lets the memory model decide, which needs to know the kind of GPU."""
    if fields.value("gpus_per_actor") is None:
        return None if pools else 0.0
    gpus = fields.number("gpus_per_actor")
    if gpus > 1 and not gpus.is_integer():
        raise ConfigError(
            f"{fields.at('gpus_per_actor')}: {gpus} is more than 1 and not a whole number; Ray splits "
            "one GPU only, so write a whole number"
        )
    return gpus


def read_pools(fields: Fields, definitions: Definitions) -> tuple[Pool, ...]:
    """Each kind of GPU with its numbers of GPUs; `gpu` is one entry or a list of entries."""
    gpu = fields.value("gpu")
    if gpu is None:
        check_no_number(fields)
        return ()
    several = isinstance(gpu, list | tuple)
    kinds = fields.entries("gpu") if several else [(fields.at("gpu"), gpu)]
    gpus = [read_gpu(definitions, entry, place) for place, entry in kinds]
    refuse_duplicates((place, gpu.name) for (place, _), gpu in zip(kinds, gpus, strict=True))
    counts = read_numbers(fields, "gpus", len(kinds))
    per_node = read_numbers(fields, "gpus_per_node", len(kinds), shared=True)
    return tuple(Pool(*numbers) for numbers in zip(gpus, counts, per_node, strict=True))


def check_no_number(fields: Fields) -> None:
    number = fields.value("gpus")
    if number is not None:
        raise ConfigError(
            f"{fields.at('gpus')}: {shown(number)} counts GPUs of no named kind; name the kind, as "
            f"in {fields.at('gpu')}=h100-80"
        )


def read_numbers(fields: Fields, key: str, kinds: int, shared: bool = False) -> list[int | None]:
    """A number of GPUs for each kind. None where it is not given.

    shared  whether one number may stand for all kinds
    """
    number, place = fields.value(key), fields.at(key)
    one_kind = not isinstance(fields.value("gpu"), list | tuple)
    alike = number is None or one_kind or (shared and not isinstance(number, list | tuple))
    numbers = [number] * kinds if alike else number
    if not isinstance(numbers, list | tuple) or len(numbers) != kinds:
        raise ConfigError(
            f"{place}: {shown(number)} does not match {fields.at('gpu')}, which names "
            f"{kinds} kinds; give a number for each, as in [8, 16], or null"
        )
    return [None if count is None else whole_number(count, place) for count in numbers]


def known_gpus(folders: Sequence[Path]) -> tuple[Gpu, ...]:
    """Every kind of GPU that has a file in gpu/, sorted by memory."""
    definitions = Definitions(tuple(folders))
    gpus = [read_gpu(definitions, name, name) for name in definitions.names("gpu")]
    return tuple(sorted(gpus, key=lambda gpu: (gpu.memory_bytes, gpu.name)))
