"""Reads and checks `sweep.adaptive`: which answer a run may stop for, and how sure that must be.

A goal turns it on. `frontier` asks for the frontier at all batch sizes of the sweep; a memory, in GB or as a
kind of GPU, asks for the best within it. Without either the run makes every sample.
"""

from raysweep import memory
from raysweep.adaptive.rules import FIRST_LOOK
from raysweep.configuration.definitions import Definitions
from raysweep.configuration.fields import Fields
from raysweep.configuration.requirements import read_memory_bytes
from raysweep.errors import ConfigError, shown
from raysweep.run_config import Adaptive, RunConfig, Sweep
from raysweep.spec import engine_name
from raysweep.system.quantities import GB

PLACE = "sweep.adaptive"
KEYS = (
    *("goal", "epsilon", "delta", "memory_gb", "gpu", "batch_size"),
    *("max_usd", "max_gpu_hours"),
)
GOALS = ("frontier",)
CEILINGS = ("max_usd", "max_gpu_hours")


def read_adaptive(sweep: Fields, definitions: Definitions) -> Adaptive | None:
    """How the run samples in rounds. None if it makes every sample."""
    if sweep.value("adaptive") is None:
        return None
    fields = sweep.below("adaptive").only(KEYS)
    goal = fields.value("goal")
    if goal is not None:
        fields.choice("goal", "goal of an adaptive run", GOALS)
    memory_bytes = read_memory_bytes(fields, definitions)
    if memory_bytes is not None and goal is not None:
        given = "memory_gb" if fields.value("memory_gb") is not None else "gpu"
        raise ConfigError(
            f"{fields.at('goal')}: {shown(goal)} is given together with {given} = "
            f"{shown(fields.value(given))}, which asks for the best within that memory alone; keep one of "
            "the two"
        )
    adaptive = Adaptive(
        epsilon=read_share(fields, "epsilon", zero=True),
        delta=read_share(fields, "delta", zero=False),
        memory_bytes=memory_bytes,
        batch_size=fields.integer("batch_size"),
        max_usd=read_ceiling(fields, "max_usd"),
        max_gpu_hours=read_ceiling(fields, "max_gpu_hours"),
    )
    if memory_bytes is not None:
        return adaptive
    check_needs_no_memory(fields, adaptive)
    return None if goal is None else adaptive


def read_share(fields: Fields, key: str, zero: bool) -> float:
    """A number below 1, and above 0 unless `zero` may be."""
    value = fields.number(key)
    if value >= 1 or (value == 0 and not zero):
        what = "from 0 to below 1" if zero else "between 0 and 1"
        raise ConfigError(
            f"{fields.at(key)}: {value:g} is out of range; write a number {what}, such as 0.01 for one "
            "in a hundred"
        )
    return value


def read_ceiling(fields: Fields, key: str) -> float | None:
    return None if fields.value(key) is None else fields.number(key)


def check_needs_no_memory(fields: Fields, adaptive: Adaptive) -> None:
    """Raise if a batch size is given, or a ceiling without anything that it could end."""
    if adaptive.batch_size != 1:
        raise ConfigError(
            f"{fields.at('batch_size')}: {adaptive.batch_size} belongs to a memory, and none is given; "
            f"write {fields.at('memory_gb')}=..., or for a frontier sweep.batch_sizes"
        )
    for key in CEILINGS:
        if fields.value("goal") is None and getattr(adaptive, key) is not None:
            raise ConfigError(
                f"{fields.at(key)}: {getattr(adaptive, key):g} ends the rounds of an adaptive run, and this "
                f"run makes every sample; write {fields.at('goal')}=frontier, or a memory"
            )


def check_adaptive(sweep: Sweep) -> None:
    """Raise if there is nothing to decide: too few samples, or a memory that holds no engine."""
    if sweep.adaptive is None:
        return
    if sweep.samples <= FIRST_LOOK:
        raise ConfigError(
            f"sweep.samples: {sweep.samples} leaves no sample to save after the first look of {PLACE}, "
            f"which is after {FIRST_LOOK}; write more, such as 32, or {PLACE}=null"
        )
    limit, batch = sweep.adaptive.memory_bytes, sweep.adaptive.batch_size
    if limit is None:
        return
    least, name = min(
        (
            memory.weights_bytes(model, weights)
            + batch * memory.kv_bytes(model.architecture, policy, sweep.token_budgets[0]),
            engine_name(model, weights, policy),
        )
        for model, weights, policy in sweep.cells()
    )
    if least > limit:
        held = "" if batch == 1 else f" for a batch of {batch}"
        raise ConfigError(
            f"{PLACE}.memory_gb: no engine fits in {limit / GB:g} GB{held}; the smallest is {name}, which "
            f"takes more than {least / GB:.6g} GB; allow more, or sweep something smaller"
        )


def check_ceilings(config: RunConfig) -> None:
    """Raise if a ceiling is given and nobody can say what a round costs."""
    adaptive, sweep = config.sweep.adaptive, config.sweep
    given = [key for key in CEILINGS if adaptive and getattr(adaptive, key) is not None]
    if not given:
        return
    place, value = f"{PLACE}.{given[0]}", getattr(adaptive, given[0])
    if not config.cluster.kinds or sweep.backend == "server":
        raise ConfigError(
            f"{place}: {value:g} cannot be kept, since what a round costs is known for named kinds of GPU "
            "only; name yours, as in cluster.gpu=a100-80, or leave the ceiling out"
        )
    free = [gpu.name for gpu in config.cluster.kinds if not gpu.usd_per_hour]
    if given[0] == "max_usd" and free:
        raise ConfigError(
            f"{place}: {value:g} cannot be kept without the price of {free[0]}; write "
            f"cluster.gpu={{name: {free[0]}, usd_per_hour: ...}}, or use {PLACE}.max_gpu_hours"
        )
