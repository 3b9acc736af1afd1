"""Runs of hand-made samples, whose results are known: one toy engine, two questions, two budgets."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

import pyarrow as pa

from actors.kv.full import Full
from raysweep.planning.grid import engines
from raysweep.planning.plan import make_plan
from raysweep.reducing.reduce import Reduction
from raysweep.run_config import Cluster, Generation, Prepare, RunConfig, Sweep
from raysweep.shard import Shard
from raysweep.spec import (
    Architecture,
    Benchmark,
    Family,
    ModelSpec,
    Question,
    Sampling,
    WeightSpec,
)
from raysweep.stages.folder_view import FolderView
from raysweep.stages.reduce import reduce_folder
from raysweep.storage.part import Part
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store

SHORT, LONG = 10, 20  # token budgets
PROMPT, THINKING, ANSWER = 7, 8, 3  # tokens of every sample, unless it says otherwise
NO_VOTE = ("unanswered", "cut_off", "error")

MODEL = ModelSpec(
    name="toy",
    family=Family("toys", Sampling(temperature=1.0)),
    path="models/toy",
    revision="1",
    architecture=Architecture(
        hidden_size=8,
        layers=2,
        heads=2,
        kv_heads=1,
        head_dim=4,
        intermediate_size=16,
        vocab_size=32,
        tied_embeddings=True,
        context=64,
    ),
)


def benchmark(name: str, questions: int) -> Benchmark:
    rows = tuple(Question(f"{name}-{i}", f"{name} {i}?", "right") for i in range(questions))
    return Benchmark(name, rows, grader="integer", answer_opener="=", answer_tokens=4)


SUMS = benchmark("sums", 2)


def sweep_of(samples: int = 4, group_sizes: tuple[int, ...] = (1, 2, 4), **changes) -> RunConfig:
    """A run of one engine on two questions, one shard a question and two samples."""
    grid = Sweep(
        models=(MODEL,),
        weights=(WeightSpec("bf16", 16),),
        kv_policies=(Full(),),
        benchmarks=(SUMS,),
        token_budgets=(SHORT, LONG),
        group_sizes=group_sizes,
        batch_sizes=(1, 16),
        samples=samples,
        backend="fake",
    )
    return RunConfig(
        out="out",
        run="test",
        seed=0,
        stages=("reduce",),
        sweep=replace(grid, **changes),
        prepare=Prepare("checkpoints", None),
        generation=Generation(max_rows=8, shard_questions=1, shard_samples=2, max_attempts=1),
        cluster=Cluster("local", 1, 1.0, 0.0),
    )


def sample(question_id: str, index: int, says: Mapping[int, str], **changes) -> dict:
    """A sample that at each budget says "right", something else, or one of NO_VOTE."""
    return {
        "question_id": question_id,
        "sample_index": index,
        "prompt_tokens": PROMPT,
        "trace_tokens": THINKING + ANSWER,
        "answers": [answer(token_budget, said) for token_budget, said in says.items()],
        **changes,
    }


def answer(token_budget: int, said: str, **changes) -> dict:
    outcome = said if said in NO_VOTE else "correct" if said == "right" else "wrong"
    return {
        "token_budget": token_budget,
        "thinking_tokens": THINKING,
        "forced": False,
        "answer": None if said in NO_VOTE else said,
        "outcome": outcome,
        "answer_tokens": ANSWER,
        **changes,
    }


def polls(at_long: Mapping[str, Iterable[str]]) -> list[dict]:
    """Samples that say these things at the long budget, and always "right" at the short one."""
    return [
        sample(question_id, index, {SHORT: "right", LONG: said})
        for question_id, sayings in at_long.items()
        for index, said in enumerate(sayings)
    ]


def write_part(store: Store, shard: Shard, samples: Iterable[dict]) -> None:
    questions = {question.question_id: question.asked for question in shard.questions}
    indices = range(shard.sample_start, shard.sample_start + shard.sample_count)
    rows = [
        {**row, "benchmark": shard.benchmark}
        for row in samples
        if row["question_id"] in questions and row["sample_index"] in indices
    ]
    part = Part(
        shard.engine.engine_id,
        shard.shard_id,
        shard.stream_id,
        questions,
        shard.sample_start,
        shard.sample_count,
    )
    store.write_part(part, pa.Table.from_pylist(rows, schema=SAMPLES))


def to_do(config: RunConfig, store: Store) -> tuple[Shard, ...]:
    return make_plan(config, store.parts()).to_do


def generate(config: RunConfig, store: Store, samples: Iterable[dict], lost: int = 0) -> None:
    """Write every missing shard but the last `lost` ones."""
    shards = to_do(config, store)
    for shard in shards[: len(shards) - lost]:
        write_part(store, shard, samples)


def rows_at(reduction: Reduction, token_budget: int) -> dict[int, dict]:
    """The scenarios of that budget by group size."""
    rows = reduction.scenarios.to_pylist()
    return {row["group_size"]: row for row in rows if row["token_budget"] == token_budget}


MIXED = polls(
    {
        "sums-0": ("right", "right", "12", "13"),  # two against two that disagree
        "sums-1": ("right", "7", "7", "cut_off"),  # one against two that agree
    }
)


def whole_shard(config: RunConfig) -> Shard:
    engine = engines(config)[0]
    decoding = config.decoding(MODEL, SUMS)
    return Shard(engine, SUMS.name, SUMS.grader, decoding, SUMS.questions, 0, config.sweep.samples)


def reduce_run(config: RunConfig, store: Store) -> Reduction:
    """Reduce what lies in the store, as the stage does that looks at the folder for the first time."""
    return reduce_folder(FolderView(config, store))
