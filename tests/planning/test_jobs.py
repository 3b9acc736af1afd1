"""An engine keeps its GPUs: jobs give it as many as the plan shows, whatever work is left."""

from dataclasses import replace

from support.nouns import a_benchmark, a_cluster, a_model, a_run_config

from raysweep.planning.estimate import estimates
from raysweep.planning.fit import placed
from raysweep.planning.jobs import jobs_of
from raysweep.planning.lengths import run_lengths, shard_lengths
from raysweep.planning.plan import make_plan
from raysweep.run_config import Gpu, Pool, RunConfig
from raysweep.shard import Shard
from raysweep.storage.part import Part
from raysweep.system.content import content_hash

GPU = Gpu("small", 10 * 10**9, 1e12, 1e15)
ROWS, BUDGET = 4, 8
SHORT, LONG = 4, 4000  # tokens of an answer


def two_benchmarks() -> RunConfig:
    """A run whose rows take a larger share of the GPU with the answers of the second benchmark."""
    model = a_model(layers=10_000)
    return a_run_config(
        models=(replace(model, architecture=replace(model.architecture, context=LONG + 100)),),
        benchmarks=(
            a_benchmark(name="short", answer_tokens=SHORT),
            a_benchmark(name="long", answer_tokens=LONG),
        ),
        token_budgets=(4, BUDGET),
        max_rows=ROWS,
        cluster=a_cluster(gpus_per_actor=None, pools=(Pool(GPU, 1),)),
    )


def part_of(shard: Shard) -> Part:
    """The part that a shard will have written."""
    hashes = {question.question_id: content_hash(question) for question in shard.questions}
    return Part(
        shard.engine.engine_id,
        shard.shard_id,
        shard.stream_id,
        hashes,
        shard.sample_start,
        shard.sample_count,
    )


def test_plan_and_jobs_give_an_engine_the_same_gpus_when_only_short_answers_are_left():
    config = two_benchmarks()
    finished = [s for s in make_plan(config, []).to_do if s.benchmark == "long"]
    left = make_plan(config, [part_of(shard) for shard in finished])
    assert {shard.benchmark for shard in left.to_do} == {"short"}
    (cost,) = estimates(config, left)
    (job,) = jobs_of(left.to_do, config.generation, config.cluster, run_lengths(config))
    alone = placed(job.engine, GPU, ROWS, shard_lengths(left.to_do))
    assert cost.placement and alone and alone.gpus < cost.placement.fit.gpus < 1
    assert [option.need.gpus for option in job.options] == [cost.placement.fit.gpus]
