"""Small nouns for tests, each valid as it is; `changes` replace fields.

`a_run_config` takes the changes of its sweep, generation and cluster too, as their field names are unlike.
"""

from dataclasses import fields, replace
from typing import Any

from actors.kv.full import Full
from raysweep.planning.plan import make_plan
from raysweep.run_config import Cluster, Generation, Prepare, RunConfig, Sweep
from raysweep.shard import Shard
from raysweep.spec import (
    BF16,
    Architecture,
    Benchmark,
    Checkpoint,
    EngineSpec,
    Family,
    ModelSpec,
    Question,
    Sampling,
)

FAMILY = Family("toys", Sampling(temperature=1.0))
ARCHITECTURE = Architecture(
    hidden_size=8,
    layers=2,
    heads=2,
    kv_heads=1,
    head_dim=4,
    intermediate_size=16,
    vocab_size=32,
    tied_embeddings=True,
    context=64,
)


def a_model(name: str = "toy", layers: int = 2, **changes: Any) -> ModelSpec:
    architecture = replace(ARCHITECTURE, layers=layers)
    model = ModelSpec(name, FAMILY, f"models/{name}", "1", architecture)
    return replace(model, **changes)


def an_engine(**changes: Any) -> EngineSpec:
    model = changes.get("model", a_model())
    checkpoint = Checkpoint(model.path, model.revision)
    return replace(EngineSpec(model, BF16, Full(), "fake", checkpoint), **changes)


def some_questions(count: int) -> tuple[Question, ...]:
    """Questions that are rendered as the fake engine is asked them: as they are."""
    prompts = [f"{i} + 1 = ?" for i in range(count)]
    return tuple(Question(f"sums-{i}", p, str(i + 1), p) for i, p in enumerate(prompts))


def a_benchmark(count: int = 3, **changes: Any) -> Benchmark:
    benchmark = Benchmark("sums", some_questions(count), "integer", "\nThe answer is", 4)
    return replace(benchmark, **changes)


def a_sweep(**changes: Any) -> Sweep:
    sweep = Sweep(
        models=(a_model(),),
        weights=(BF16,),
        kv_policies=(Full(),),
        benchmarks=(a_benchmark(),),
        token_budgets=(4, 8),
        group_sizes=(1, 2),
        batch_sizes=(1,),
        samples=4,
        backend="fake",
    )
    return replace(sweep, **changes)


def a_generation(**changes: Any) -> Generation:
    generation = Generation(max_rows=4, shard_questions=2, shard_samples=2, max_attempts=3)
    return replace(generation, **changes)


def a_cluster(**changes: Any) -> Cluster:
    return replace(Cluster("local", actors=2, cpus_per_actor=1.0, gpus_per_actor=0.0), **changes)


def a_run_config(**changes: Any) -> RunConfig:
    def of(noun: type) -> dict[str, Any]:
        return {f.name: changes[f.name] for f in fields(noun) if f.name in changes}

    config = RunConfig(
        out="runs",
        run="test",
        seed=0,
        stages=("plan", "generate"),
        sweep=a_sweep(**of(Sweep)),
        prepare=Prepare("checkpoints", None),
        generation=a_generation(**of(Generation)),
        cluster=a_cluster(**of(Cluster)),
    )
    return replace(config, **of(RunConfig))


def some_shards(**changes: Any) -> tuple[Shard, ...]:
    """The shards of a run that has none yet: of the default one, four."""
    return make_plan(a_run_config(**changes), []).to_do
