"""Checks of a grid's combinations: backends, packed head dimensions, and what is left out."""

import itertools
from fnmatch import fnmatchcase

from raysweep.errors import ConfigError, shown
from raysweep.planning.backends import AUTO, refuses
from raysweep.run_config import RunConfig, Sweep
from raysweep.spec import engine_name


def check_leave_out(sweep: Sweep, place: str) -> None:
    """Raise if a pattern matches no engine, or if no engine is left."""
    cells = itertools.product(sweep.models, sweep.weights, sweep.kv_policies)
    names = [engine_name(*cell) for cell in cells]
    for index, pattern in enumerate(sweep.leave_out):
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ConfigError(
                f"{place}[{index}]: {shown(pattern)} matches none of the {len(names)} engines, whose names "
                f"are like {names[0]}; correct it, or remove it"
            )
    if next(sweep.cells(), None) is None:
        raise ConfigError(
            f"{place}: {shown(list(sweep.leave_out))} leaves out all {len(names)} engines; keep one"
        )


def check_backend(config: RunConfig) -> None:
    """Raise unless the backend can run every engine. With `auto`, one of the backends must."""
    sweep = config.sweep
    asked = AUTO if sweep.backend == "auto" else (sweep.backend,)
    for cell in sweep.cells():
        refusals = [refuses(backend, *cell, config.cluster) for backend in asked]
        if all(refusals):
            said = "; ".join(filter(None, refusals))
            raise ConfigError(
                f"sweep.backend: {sweep.backend!r} cannot run {engine_name(*cell)}: {said}"
            )


def check_packing(sweep: Sweep) -> None:
    """Raise if a policy's groups of channels do not divide a model's head dimension."""
    for model, _, policy in sweep.cells():
        packing, head_dim = policy.packing, model.architecture.head_dim
        if packing is None or "token" not in (packing.key_axis, packing.value_axis):
            continue
        if head_dim % min(packing.group_size, head_dim):
            raise ConfigError(
                f"sweep.kv_policies[{sweep.kv_policies.index(policy)}].group_size: {packing.group_size} does "
                f"not divide the head dimension of {model.name}, {head_dim}; choose a divisor"
            )
