"""From a configuration to the work that is missing: engines, shards, and their cost in tokens.

The plan keeps the finished parts that hold wanted samples and cuts the rest into new shards (`cutting`).
It is a function of the configuration and of the folder's parts, and of nothing else: its files are for
readers, and no stage takes them for the truth.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from raysweep import memory
from raysweep.backends import AUTO, Choice, choose
from raysweep.checkpoints import engine_checkpoint
from raysweep.cutting import finished_pieces, missing_shards
from raysweep.errors import ConfigError
from raysweep.kv_policy import kind_of, parameters
from raysweep.run_config import RunConfig
from raysweep.spec import Benchmark, EngineSpec, Shard, content_hash
from raysweep.store import Part, Store
from raysweep.tables import ENGINES, PLAN

TEMPLATE_TOKENS = 256  # at most, that a chat template adds to a question


@dataclass(frozen=True)
class PlannedShard:
    """A shard as a row of plan.parquet; `shard` is None for one that an earlier run has finished."""

    shard_id: str
    engine_id: str
    benchmark: str
    question_ids: tuple[str, ...]
    sample_start: int
    sample_count: int
    est_tokens: int
    shard: Shard | None


@dataclass(frozen=True)
class Plan:
    """Every shard of the run: those done, and those to do; and why its engines have their backends."""

    engines: tuple[EngineSpec, ...]
    shards: tuple[PlannedShard, ...]
    backends: tuple[Choice, ...] = ()  # one for each engine

    @property
    def to_do(self) -> tuple[Shard, ...]:
        return tuple(planned.shard for planned in self.shards if planned.shard is not None)


def engines(config: RunConfig) -> tuple[EngineSpec, ...]:
    """Every engine of the grid, in the order of the configuration, with the backend that it names."""
    sweep = config.sweep
    return tuple(
        EngineSpec(model, weights, policy, sweep.backend, checkpoint)
        for model, weights in itertools.product(sweep.models, sweep.weights)
        for checkpoint in [engine_checkpoint(config.prepare, model, weights)]
        for policy in sweep.kv_policies
    )


def backend_of(config: RunConfig, engine: EngineSpec, streams: Container[str]) -> Choice:
    """The backend of an engine of the grid, given the streams of samples that the folder holds.

    Raises ConfigError where another backend has made the engine's samples there: they are not the same.
    """
    makers = [backend for backend in AUTO if _has_made(config, engine, backend, streams)]
    if engine.backend == "auto":
        made = "has made samples in this folder"
        return Choice(makers[0], made) if makers else choose(engine, config.cluster)
    others = [maker for maker in makers if maker != engine.backend]
    if others:
        raise ConfigError(
            f"sweep.backend: {engine.backend!r}, but the samples of {engine.engine_id} in "
            f"{config.out}/{config.run} come from {others[0]!r}; write that or auto, or choose another "
            "run=NAME"
        )
    return Choice(engine.backend, "as configured")


def _has_made(config: RunConfig, engine: EngineSpec, backend: str, streams: Container[str]) -> bool:
    maker = replace(engine, backend=backend)
    return any(
        whole_stream(config, maker, benchmark).stream_id in streams
        for benchmark in config.sweep.benchmarks
    )


def make_plan(config: RunConfig, parts: Iterable[Part]) -> Plan:
    """The run's plan, given the parts that are finished."""
    finished: dict[str, list[Part]] = defaultdict(list)
    for part in parts:
        finished[part.stream_id].append(part)
    grid = engines(config)
    backends = tuple(backend_of(config, engine, finished) for engine in grid)
    specs = tuple(
        replace(engine, backend=choice.backend)
        for engine, choice in zip(grid, backends, strict=True)
    )
    shards: list[PlannedShard] = []
    for engine, benchmark in itertools.product(specs, config.sweep.benchmarks):
        whole = whole_stream(config, engine, benchmark)
        shards += _plan_stream(whole, finished[whole.stream_id], config)
    return Plan(specs, tuple(shards), backends)


def write_plan(config: RunConfig, store: Store) -> Plan:
    """Plan with the parts that are in the store, and write engines.parquet and plan.parquet."""
    planned = make_plan(config, store.parts())
    store.write_table("engines.parquet", engines_table(config, planned))
    store.write_table("plan.parquet", plan_table(config, planned))
    return planned


def whole_stream(config: RunConfig, engine: EngineSpec, benchmark: Benchmark) -> Shard:
    """All that is wanted of one engine on one benchmark, as if it were one shard."""
    return Shard(
        engine=engine,
        benchmark=benchmark.name,
        grader=benchmark.grader,
        decoding=config.decoding(engine.model, benchmark),
        questions=benchmark.questions,
        sample_start=0,
        sample_count=config.sweep.samples,
    )


def est_tokens(shard: Shard) -> int:
    """Tokens at most: each trace fills the largest budget, each smaller budget is a forced answer."""
    decoding = shard.decoding
    budgets = decoding.token_budgets
    return shard.samples * (budgets[-1] + len(budgets) * decoding.answer_tokens)


def longest_sequence(shard: Shard) -> int:
    """Tokens of a shard's longest sequence at most: no text has more tokens than bytes."""
    decoding = shard.decoding
    prompt = max(len(question.prompt.encode()) for question in shard.questions) + TEMPLATE_TOKENS
    closing = len(decoding.forced_closing.encode())
    tokens = prompt + decoding.token_budgets[-1] + closing + decoding.answer_tokens
    return min(tokens, shard.engine.model.architecture.context)


def _plan_stream(whole: Shard, parts: list[Part], config: RunConfig) -> Iterator[PlannedShard]:
    """The shards of one stream: what is there first, then what is missing."""
    finished, missing = finished_pieces(whole, parts)
    for shard_id, piece in finished:
        yield _planned(shard_id, piece, None)
    for shard in missing_shards(whole, missing, config.generation):
        yield _planned(shard.shard_id, shard, shard)


def _planned(shard_id: str, piece: Shard, to_do: Shard | None) -> PlannedShard:
    return PlannedShard(
        shard_id=shard_id,
        engine_id=piece.engine.engine_id,
        benchmark=piece.benchmark,
        question_ids=tuple(question.question_id for question in piece.questions),
        sample_start=piece.sample_start,
        sample_count=piece.sample_count,
        est_tokens=est_tokens(piece),
        shard=to_do,
    )


def engines_table(config: RunConfig, plan: Plan) -> pa.Table:
    """engines.parquet."""
    tokens: dict[str, int] = defaultdict(int)
    for planned in plan.shards:
        tokens[planned.engine_id] += planned.est_tokens
    rows = [_engine_row(engine, config, tokens[engine.engine_id]) for engine in plan.engines]
    return pa.Table.from_pylist(rows, schema=ENGINES)


def _engine_row(engine: EngineSpec, config: RunConfig, tokens: int) -> dict:
    model = engine.model
    return {
        "engine_id": engine.engine_id,
        "engine_hash": content_hash(engine),
        "family": model.family.name,
        "model": model.name,
        "params": model.params,
        "weight_method": engine.weights.method,
        "weight_bits": engine.weights.bits,
        "weight_group_size": engine.weights.group_size,
        "kv_policy": engine.kv_policy.slug,
        "kv_params": json.dumps(parameters(engine.kv_policy)),
        "kv_kind": kind_of(engine.kv_policy),
        "backend": engine.backend,
        "weights_bytes": memory.weights_bytes(model, engine.weights),
        "kv_bytes_per_token": memory.kv_bytes_per_token(model.architecture),
        "gpus": config.cluster.gpus_per_actor,
        "est_tokens": tokens,
        "est_gpu_hours": None,
    }


def plan_table(config: RunConfig, plan: Plan) -> pa.Table:
    """plan.parquet."""
    gpus = config.cluster.gpus_per_actor
    rows = [{**vars(planned), "gpus": gpus} for planned in plan.shards]
    return pa.Table.from_pylist(rows, schema=PLAN)
