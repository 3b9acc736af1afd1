"""What a user asked for: the grid, how its work is cut, where it runs. Frozen dataclasses, validated.

A sample depends on what `spec` names; of a run's configuration it knows nothing else.
"""

from dataclasses import dataclass

from raysweep.kv_policy import KVPolicy
from raysweep.recipe import Calibration
from raysweep.spec import PLAIN, Benchmark, Decoding, Forcing, ModelSpec, WeightSpec


@dataclass(frozen=True)
class Sweep:
    """The grid. Token budgets in tokens and increasing; every group size is at most `samples`."""

    models: tuple[ModelSpec, ...]
    weights: tuple[WeightSpec, ...]
    kv_policies: tuple[KVPolicy, ...]
    benchmarks: tuple[Benchmark, ...]
    token_budgets: tuple[int, ...]
    group_sizes: tuple[int, ...]
    batch_sizes: tuple[int, ...]
    samples: int
    backend: str
    forcing: Forcing = PLAIN


@dataclass(frozen=True)
class Generation:
    """How the work is cut and fed; changes speed and the size of a loss, never a sample.

    max_rows         sequences that one engine decodes together
    shard_questions  questions a shard, at most
    shard_samples    samples of each question a shard, at most
    max_attempts     tries of a shard before it is given up
    shard_minutes    of a full actor that a shard takes, at most, by the cost model
    hang_minutes     without a step, after which an engine with work is taken for hung
    grace_s          from SIGTERM to the end: shards that are at work may be finished
    """

    max_rows: int
    shard_questions: int
    shard_samples: int
    max_attempts: int
    shard_minutes: float = 10.0
    hang_minutes: float = 15.0
    grace_s: float = 30.0


@dataclass(frozen=True)
class Gpu:
    """A kind of GPU, by its data sheet.

    memory_bytes      what the driver reports, all of it
    flops_s           of dense bf16 products; of fp16 where a GPU has no bf16
    accelerator_type  the value of Ray's node label `ray.io/accelerator-type`; "" if it is not known
    usd_per_hour      of one GPU; 0 if nobody has said
    """

    name: str
    memory_bytes: int
    bandwidth_bytes_s: float
    flops_s: float
    accelerator_type: str = ""
    usd_per_hour: float = 0.0


@dataclass(frozen=True)
class Pool:
    """The GPUs of a kind: how many there are or may come. None: whatever the live cluster has."""

    gpu: Gpu
    gpus: int | None = None


@dataclass(frozen=True)
class Cluster:
    """Where the actors run. `address` is "local" (start Ray here) or a Ray address.

    actors          engines at a time; None: as many as they need and the cluster affords
    gpus_per_actor  None: by the memory model, on the kinds of GPU in `pools`
    pools           without any, nobody checks beforehand what fits
    autoscaling     nodes may come: demand is announced, and an empty cluster is waited for
    """

    address: str
    actors: int | None
    cpus_per_actor: float
    gpus_per_actor: float | None
    pools: tuple[Pool, ...] = ()
    autoscaling: bool = False

    @property
    def on_gpus(self) -> bool:
        """Whether the actors have GPUs, or shares of one."""
        return self.gpus_per_actor is None or self.gpus_per_actor > 0


@dataclass(frozen=True)
class Prepare:
    """Where quantised checkpoints are kept, and what they are calibrated on (None: not needed)."""

    checkpoints: str
    calibration: Calibration | None


@dataclass(frozen=True)
class Show:
    """The names of what the stage show shows: a question as a model is asked it. None: the sweep's first."""

    model: str | None = None
    benchmark: str | None = None
    question: str | None = None


@dataclass(frozen=True)
class Verify:
    """What the stage verify does with what is damaged: `repair` moves it aside, to be made anew."""

    repair: bool = False


@dataclass(frozen=True)
class Simulate:
    """What the stage simulate supposes.

    faults         share of the shards that are lost with their actor
    mean_length    of a trace of which nothing is measured, as a share of the largest budget
    length_spread  standard deviation of the logarithm of such a length
    """

    seed: int = 0
    faults: float = 0.01
    mean_length: float = 0.4
    length_spread: float = 0.8


@dataclass(frozen=True)
class Requirements:
    """What a configuration is recommended for: the stage `recommend`.

    memory_bytes      for the weights and the KV caches of a whole batch; None if the stage is not run
    benchmark         one of the sweep's, None for each of them
    max_token_budget  None for no limit
    """

    memory_bytes: float | None
    batch_size: int
    benchmark: str | None
    max_token_budget: int | None


@dataclass(frozen=True)
class RunConfig:
    """A whole run as the user asked for it, validated."""

    out: str
    run: str
    seed: int
    stages: tuple[str, ...]
    sweep: Sweep
    prepare: Prepare
    generation: Generation
    cluster: Cluster
    show: Show = Show()
    recommend: Requirements = Requirements(None, 1, None, None)
    verify: Verify = Verify()
    simulate: Simulate = Simulate()

    def decoding(self, model: ModelSpec, benchmark: Benchmark) -> Decoding:
        family, forcing = model.family, self.sweep.forcing
        return Decoding(
            seed=self.seed,
            sampling=family.sampling,
            think_open=family.think_open,
            think_close=family.think_close,
            forced_closing=forcing.forced_closing(family, benchmark),
            answer_tokens=benchmark.answer_tokens,
            token_budgets=self.sweep.token_budgets,
            extension=forcing.extension,
            loop_tokens=forcing.loop_tokens,
            end_loops=forcing.end_loops,
        )
