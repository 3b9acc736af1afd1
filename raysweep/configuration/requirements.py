"""Reads what a configuration is recommended for: a memory, a batch size, a benchmark, a limit on tokens.

A memory is so many GB, or what a kind of GPU has beside CUDA's own. `sweep.adaptive` names its memory in the
same way, and is what the stage recommend answers unless the user names something else.
"""

from raysweep.configuration.definitions import Definitions, read_gpu
from raysweep.configuration.fields import Fields
from raysweep.errors import ConfigError, shown
from raysweep.memory import CONTEXT_BYTES
from raysweep.run_config import Requirements, Sweep
from raysweep.system.quantities import GB

REQUIREMENT_KEYS = ("memory_gb", "gpu", "batch_size", "benchmark", "max_token_budget")


def read_requirements(
    fields: Fields, sweep: Sweep, definitions: Definitions, wanted: bool
) -> Requirements:
    """What to recommend a configuration for; a memory must be given if the stage is to be run."""
    fields.only(REQUIREMENT_KEYS)
    benchmark, budget = fields.value("benchmark"), fields.value("max_token_budget")
    names = [one.name for one in sweep.benchmarks]
    asked = sweep.adaptive.memory_bytes if sweep.adaptive else None
    batch_size = 1 if sweep.adaptive is None else sweep.adaptive.batch_size
    memory_bytes = read_memory_bytes(fields, definitions)
    if memory_bytes is None and asked is None and wanted:
        raise ConfigError(
            f"{fields.at('memory_gb')}: missing, and the stage 'recommend' needs it; give the memory in "
            f"GB (1e9 bytes), as in {fields.at('memory_gb')}=24, or {fields.at('gpu')}=a100-80"
        )
    return Requirements(
        memory_bytes=asked if memory_bytes is None else memory_bytes,
        batch_size=batch_size
        if fields.value("batch_size") is None
        else fields.integer("batch_size"),
        benchmark=None if benchmark is None else fields.choice("benchmark", "benchmark", names),
        max_token_budget=None if budget is None else fields.integer("max_token_budget"),
    )


def read_memory_bytes(fields: Fields, definitions: Definitions) -> float | None:
    """The memory that `memory_gb` or `gpu` names: so many GB, or what a GPU has beside CUDA's own."""
    memory_gb, gpu = fields.value("memory_gb"), fields.value("gpu")
    if memory_gb is not None and gpu is not None:
        raise ConfigError(
            f"{fields.at('gpu')}: {shown(gpu)} is given together with memory_gb = {shown(memory_gb)}; "
            "keep one of the two"
        )
    if memory_gb is not None:
        return fields.number("memory_gb") * GB
    if gpu is not None:
        return float(read_gpu(definitions, gpu, fields.at("gpu")).memory_bytes - CONTEXT_BYTES)
    return None
