"""Fills a run's folder with random samples, to measure the stages that read them. No model runs.

The probability of a correct answer grows with the model's size and the token budget. A wrong answer is one
of a few dozen, some of which are common. Texts and token ids exist, so it counts if a reader skips them,
but they are shorter than real ones.
"""

import numpy as np
import pyarrow as pa

from actors.kv.full import Full
from actors.kv.streaming_llm import StreamingLLM
from raysweep.planning.plan import make_plan
from raysweep.run_config import Cluster, Generation, Prepare, RunConfig, Sweep
from raysweep.shard import Shard
from raysweep.spec import Architecture, Benchmark, Family, ModelSpec, Question, Sampling, WeightSpec
from raysweep.storage.part import Part
from raysweep.storage.schemas import ANSWER, SAMPLES
from raysweep.storage.store import Store
from raysweep.system.content import content_hash

QUESTIONS, SAMPLES_A_QUESTION = 198, 32
TOKEN_BUDGETS = tuple(range(2_000, 32_000, 4_000))
GROUP_SIZES = (1, 3, 4, 6, 8, 12, 16)
POLICIES = (Full(), *(StreamingLLM(4, window) for window in (1020, 2044, 4092)))
TOKEN_IDS = 64
WRONG = np.array([str(number) for number in range(40)])
OUTCOMES = np.array(["correct", "wrong", "unanswered", "cut_off"])


def drawn_run(samples: int) -> RunConfig:
    """A run of about `samples` samples. It has the necessary number of models, under four KV policies."""
    n_models = max(1, round(samples / (QUESTIONS * SAMPLES_A_QUESTION * len(POLICIES))))
    questions = tuple(Question(f"q{i:03}", f"question {i}?", "right") for i in range(QUESTIONS))
    sweep = Sweep(
        models=tuple(_model(index) for index in range(n_models)),
        weights=(WeightSpec("bf16", 16),),
        kv_policies=POLICIES,
        benchmarks=(Benchmark("drawn", questions, "integer", "\nThe answer is", 8),),
        token_budgets=TOKEN_BUDGETS,
        group_sizes=GROUP_SIZES,
        batch_sizes=(1, 16),
        samples=SAMPLES_A_QUESTION,
        backend="fake",
    )
    return RunConfig(
        out="runs",
        run="drawn",
        seed=0,
        stages=("reduce",),
        sweep=sweep,
        prepare=Prepare("checkpoints", None),
        generation=Generation(max_rows=64, shard_questions=66, shard_samples=8, max_attempts=1),
        cluster=Cluster("local", None, 1.0, 0.0),
    )


def _model(index: int) -> ModelSpec:
    layers = 16 + 2 * index
    architecture = Architecture(1024, layers, 16, 8, 128, 3072, 151_936, True, 40_960)
    family = Family("drawn", Sampling(temperature=0.6))
    return ModelSpec(f"model-{index:02}", family, f"models/{index}", "1", architecture)


def write_samples(config: RunConfig, store: Store) -> int:
    """Write every part of the run. Returns the number of samples."""
    shards = make_plan(config, []).to_do
    for shard in shards:
        part = Part(
            shard.engine.engine_id,
            shard.shard_id,
            shard.stream_id,
            {question.question_id: content_hash(question) for question in shard.questions},
            shard.sample_start,
            shard.sample_count,
        )
        store.write_part(part, _table(shard))
    return sum(shard.samples for shard in shards)


def _table(shard: Shard) -> pa.Table:
    rng = np.random.default_rng(int(shard.shard_id, 16))
    n = shard.samples
    ids = np.array([question.question_id for question in shard.questions])
    difficulty = np.repeat([int(name[1:]) / QUESTIONS * 8 - 4 for name in ids], shard.sample_count)
    columns = {
        "engine_id": pa.array([shard.engine.engine_id] * n),
        "benchmark": pa.array([shard.benchmark] * n),
        "question_id": pa.array(np.repeat(ids, shard.sample_count)),
        "sample_index": np.tile(np.arange(shard.sample_count) + shard.sample_start, len(ids)),
        "seed": np.zeros(n, dtype=np.int64),
        "prompt_tokens": rng.integers(40, 400, n),
        "trace_tokens": rng.integers(2_000, 30_000, n),
        "finish": pa.array(["budget"] * n),
        "waits": np.zeros(n, dtype=np.int64),
        "token_ids": _lists(pa.array(rng.integers(0, 150_000, n * TOKEN_IDS, dtype=np.int32)), n),
        "answers": _lists(_answers(rng, difficulty, shard.engine.model.architecture.layers), n),
        "reused_tokens": np.zeros(n, dtype=np.int64),
        "recomputed_tokens": np.zeros(n, dtype=np.int64),
        "reproducible": pa.array(["batch_invariant"] * n),
        "wall_s": rng.random(n),
    }
    return pa.table(columns).cast(SAMPLES)


def _lists(values: pa.Array, n: int) -> pa.ListArray:
    offsets = np.arange(n + 1, dtype=np.int32) * (len(values) // n)
    return pa.ListArray.from_arrays(pa.array(offsets), values)


def _answers(rng: np.random.Generator, difficulty: np.ndarray, layers: int) -> pa.StructArray:
    """The answers of each sample at each budget, in one sequence."""
    budgets = np.tile(TOKEN_BUDGETS, len(difficulty))
    ability = (
        np.log2(layers / 16) + np.log2(budgets / 8_000) - np.repeat(difficulty, len(TOKEN_BUDGETS))
    )
    kind = rng.choice(4, len(budgets), p=[0, 0.9, 0.05, 0.05])
    kind = np.where(rng.random(len(budgets)) < 1 / (1 + np.exp(-ability)), 0, kind)
    said = WRONG[np.minimum(rng.geometric(0.15, len(budgets)), len(WRONG)) - 1]
    answer = np.where(kind == 0, "right", said)
    columns = [
        budgets,
        budgets,
        rng.random(len(budgets)) < 0.7,
        pa.array(np.char.add("\nThe answer is ", answer)),
        np.ones(len(budgets), dtype=np.bool_),  # ended
        np.zeros(len(budgets), dtype=np.bool_),  # given up
        pa.array(answer, mask=kind > 1),
        pa.array(OUTCOMES[kind]),
        rng.integers(1, 8, len(budgets)),
        budgets * 1000,
    ]
    return pa.StructArray.from_arrays([pa.array(column) for column in columns], fields=list(ANSWER))
