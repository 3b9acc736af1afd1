"""Writes engines.parquet and plan.parquet: a plan with its cost, for people. No stage reads them."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from raysweep import memory
from raysweep.kv_policy import kind_of, parameters
from raysweep.planning.estimate import Estimate
from raysweep.planning.placements import seen_by
from raysweep.planning.plan import Plan, PlannedShard
from raysweep.run_config import RunConfig
from raysweep.spec import EngineSpec
from raysweep.storage import result_files
from raysweep.storage.schemas import ENGINES, PLAN
from raysweep.storage.store import Store
from raysweep.system.machine import bytes_per_multiplied_number

# Shards that are made rows at a time, to hold few values besides the rows.
BATCH = 10_000


def write_plan(config: RunConfig, planned: Plan, costs: Sequence[Estimate], store: Store) -> None:
    """Write engines.parquet and plan.parquet, unless they hold these rows."""
    store.update_table(result_files.ENGINES, engines_table(config, costs))
    store.update_table(result_files.PLAN, plan_table(config, planned, costs))


def engines_table(config: RunConfig, costs: Iterable[Estimate]) -> pa.Table:
    """engines.parquet. Tokens are the largest possible number, hours are the expected number."""
    return pa.Table.from_pylist([_engine_row(config, cost) for cost in costs], schema=ENGINES)


def plan_table(config: RunConfig, plan: Plan, costs: Iterable[Estimate]) -> pa.Table:
    """plan.parquet."""
    gpus = {cost.engine.engine_id: gpus_of(config, cost) for cost in costs}
    starts = range(0, len(plan.shards), BATCH)
    rows = (_plan_rows(plan.shards[start : start + BATCH], gpus) for start in starts)
    return pa.concat_tables([PLAN.empty_table(), *rows])


def _plan_rows(shards: Sequence[PlannedShard], gpus: Mapping[str, float | None]) -> pa.Table:
    own = (name for name in PLAN.names if name != "gpus")
    columns: dict[str, list[Any]] = {name: [getattr(one, name) for one in shards] for name in own}
    columns["gpus"] = [gpus[one.engine_id] for one in shards]
    return pa.table({name: columns[name] for name in PLAN.names}, schema=PLAN)


def gpus_of(config: RunConfig, cost: Estimate) -> float | None:
    """GPUs per actor of the engine, or its share of one. None if it fits on no GPU of the cluster."""
    cluster = seen_by(cost.engine, config.cluster)
    if not cluster.kinds:
        return cluster.gpus_per_actor
    return None if cost.placement is None else cost.placement.fit.gpus


def _engine_row(config: RunConfig, cost: Estimate) -> dict[str, Any]:
    return {
        **described(cost.engine),
        "gpus": gpus_of(config, cost),
        "working_copy_bytes": _working_copy_bytes(config, cost.engine),
        "est_tokens": int(cost.whole.at_most),
        "est_gpu_hours": cost.gpu_hours(cost.whole),
    }


def _working_copy_bytes(config: RunConfig, engine: EngineSpec) -> int:
    if engine.backend != "torch" or config.cluster.on_gpus:
        return 0
    wide = bytes_per_multiplied_number()
    return memory.working_copy_bytes(engine.model.architecture, wide)


def described(engine: EngineSpec) -> dict[str, Any]:
    """The columns of engines.parquet that describe an engine without its cost."""
    model = engine.model
    return {
        "engine_id": engine.engine_id,
        "engine_hash": engine.content,
        "family": model.family.name,
        "model": model.name,
        "params": model.params,
        "weight_method": engine.weights.method,
        "weight_bits": engine.weights.bits,
        "weight_group_size": engine.weights.group_size,
        "weight_symmetric": engine.weights.symmetric,
        "weight_act_order": engine.weights.act_order,
        "kv_policy": engine.kv_policy.slug,
        "kv_params": json.dumps(parameters(engine.kv_policy)),
        "kv_kind": kind_of(engine.kv_policy),
        "backend": engine.backend,
        "control": engine.control,
        "weights_bytes": memory.weights_bytes(model, engine.weights),
        "kv_bytes_per_token": memory.kv_bytes_per_token(model.architecture),
    }
