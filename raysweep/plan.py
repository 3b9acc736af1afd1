"""From a configuration to the work that is missing: engines, shards, and their cost in tokens.

A finished part covers cells (stream, question, sample index). The plan keeps the parts that cover what
is wanted and cuts the uncovered cells into new shards, so raising the number of samples, adding
questions or starting again after a crash all generate the difference and nothing else.
"""

import itertools
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import pyarrow as pa

from raysweep import memory
from raysweep.kv_policy import parameters
from raysweep.spec import (
    Benchmark,
    EngineSpec,
    Question,
    RunConfig,
    Shard,
    Sweep,
    content_hash,
)
from raysweep.store import Part
from raysweep.tables import ENGINES, PLAN


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
    """Every shard of the run: those done, and those to do."""

    engines: tuple[EngineSpec, ...]
    shards: tuple[PlannedShard, ...]

    @property
    def to_do(self) -> tuple[Shard, ...]:
        return tuple(planned.shard for planned in self.shards if planned.shard is not None)


def engines(sweep: Sweep) -> tuple[EngineSpec, ...]:
    """Every engine of the grid, in the order of the configuration."""
    grid = itertools.product(sweep.models, sweep.weights, sweep.kv_policies)
    return tuple(EngineSpec(*axes, backend=sweep.backend) for axes in grid)


def make_plan(config: RunConfig, parts: Iterable[Part]) -> Plan:
    """The run's plan, given the parts that are finished."""
    finished = defaultdict(list)
    for part in parts:
        finished[part.stream_id].append(part)
    specs = engines(config.sweep)
    shards = []
    for engine, benchmark in itertools.product(specs, config.sweep.benchmarks):
        shards += _plan_stream(config, engine, benchmark, finished)
    return Plan(specs, tuple(shards))


def _plan_stream(
    config: RunConfig, engine: EngineSpec, benchmark: Benchmark, finished: dict[str, list[Part]]
) -> Iterator[PlannedShard]:
    """The shards of one engine on one benchmark."""
    whole = Shard(
        engine=engine,
        benchmark=benchmark.name,
        grader=benchmark.grader,
        decoding=config.decoding(engine.model, benchmark),
        questions=benchmark.questions,
        sample_start=0,
        sample_count=config.sweep.samples,
    )
    hashes = {question.question_id: content_hash(question) for question in whole.questions}
    useful = [
        part for part in finished[whole.stream_id] if _covers_any(part, hashes, whole.sample_count)
    ]
    yield from (_kept(part, whole) for part in useful)
    done = _done_samples(useful, hashes)
    for shard in _missing(whole, done, config):
        yield _planned(shard)


def _covers_any(part: Part, hashes: dict[str, str], samples: int) -> bool:
    current = any(hashes.get(key) == value for key, value in part.questions.items())
    return current and part.sample_start < samples


def _done_samples(parts: Iterable[Part], hashes: dict[str, str]) -> dict[str, set[int]]:
    done: dict[str, set[int]] = {question_id: set() for question_id in hashes}
    for part in parts:
        for question_id, question_hash in part.questions.items():
            if hashes.get(question_id) == question_hash:
                indices = range(part.sample_start, part.sample_start + part.sample_count)
                done[question_id].update(indices)
    return done


def _missing(whole: Shard, done: dict[str, set[int]], config: RunConfig) -> Iterator[Shard]:
    """Cut the cells of `whole` that are not done into shards of the configured size."""
    step = config.generation.shard_samples
    for start in range(0, whole.sample_count, step):
        wanted = range(start, min(start + step, whole.sample_count))
        by_range: dict[tuple[int, int], list[Question]] = defaultdict(list)
        for question in whole.questions:
            missing = [index for index in wanted if index not in done[question.question_id]]
            for run in _runs(missing):
                by_range[run].append(question)
        for (first, count), questions in by_range.items():
            for block in _blocks(questions, config.generation.shard_questions):
                yield replace(whole, questions=block, sample_start=first, sample_count=count)


def _blocks(questions: list[Question], size: int) -> Iterator[tuple[Question, ...]]:
    for start in range(0, len(questions), size):
        yield tuple(questions[start : start + size])


def _runs(indices: list[int]) -> Iterator[tuple[int, int]]:
    """(start, length) of each run of consecutive integers in a sorted list."""
    for _, group in itertools.groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        members = [index for _, index in group]
        yield members[0], len(members)


def _planned(shard: Shard) -> PlannedShard:
    question_ids = tuple(question.question_id for question in shard.questions)
    return PlannedShard(
        shard.shard_id,
        shard.engine.engine_id,
        shard.benchmark,
        question_ids,
        shard.sample_start,
        shard.sample_count,
        est_tokens(shard),
        shard,
    )


def _kept(part: Part, whole: Shard) -> PlannedShard:
    questions = tuple(q for q in whole.questions if q.question_id in part.questions)
    cells = replace(
        whole,
        questions=questions,
        sample_start=part.sample_start,
        sample_count=part.sample_count,
    )
    return replace(_planned(cells), shard_id=part.shard_id, shard=None)


def est_tokens(shard: Shard) -> int:
    """Tokens at most: each trace fills the largest budget, each smaller budget is a forced answer."""
    decoding = shard.decoding
    budgets = decoding.token_budgets
    return shard.samples * (budgets[-1] + len(budgets) * decoding.answer_tokens)


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
        "kv_policy": engine.kv_policy.slug,
        "kv_params": json.dumps(parameters(engine.kv_policy)),
        "backend": engine.backend,
        "weights_bytes": memory.weights_bytes(model, engine.weights),
        "kv_bytes_per_token": memory.kv_bytes_per_token(model.architecture),
        "gpus": config.cluster.gpus_per_actor,
        "est_tokens": tokens,
        "est_gpu_hours": None,
    }


def plan_table(config: RunConfig, plan: Plan) -> pa.Table:
    """plan.parquet."""
    rows = [
        {
            "shard_id": planned.shard_id,
            "engine_id": planned.engine_id,
            "benchmark": planned.benchmark,
            "question_ids": list(planned.question_ids),
            "sample_start": planned.sample_start,
            "sample_count": planned.sample_count,
            "est_tokens": planned.est_tokens,
            "gpus": config.cluster.gpus_per_actor,
        }
        for planned in plan.shards
    ]
    return pa.Table.from_pylist(rows, schema=PLAN)
