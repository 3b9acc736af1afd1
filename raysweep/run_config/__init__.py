"""A validated configuration as frozen dataclasses: the grid, how its work is cut, where it runs.

A sample depends only on the dataclasses in `spec`, and on nothing else in a run's configuration.
"""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from raysweep.kv_policy import KVPolicy
from raysweep.recipe import Calibration
from raysweep.run_config.outputs import Publish, Traces
from raysweep.spec import (
    PLAIN,
    Benchmark,
    Decoding,
    Forcing,
    ModelSpec,
    WeightSpec,
    engine_name,
)


@dataclass(frozen=True)
class Adaptive:
    """Sampling in rounds that stops what cannot change the answer by more than `epsilon`.

    epsilon        accuracy that may be lost, as a share of the questions
    delta          the probability that more is lost
    memory_bytes   asks for the best within this memory; None asks for the frontier at all batch sizes
    batch_size     questions that are answered at once within that memory
    max_usd        no round starts that would cost more than this in all; None for no limit
    max_gpu_hours  the same in GPU-hours
    """

    epsilon: float
    delta: float
    memory_bytes: float | None = None
    batch_size: int = 1
    max_usd: float | None = None
    max_gpu_hours: float | None = None


@dataclass(frozen=True)
class Sweep:
    """The grid. Token budgets increase, and every group size is at most `samples`.

    control    whether `full` is run on torch too where it runs on vLLM and other policies on torch
    leave_out  patterns of the engines that are no part of the grid, such as `qwen3-32b.*.full`
    unfit      what happens to an engine that fits on no GPU of the cluster: `skip` or `refuse`
    adaptive   None: every sample is made
    """

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
    control: bool = False
    leave_out: tuple[str, ...] = ()
    unfit: str = "refuse"
    adaptive: Adaptive | None = None

    def cells(self) -> Iterator[tuple[ModelSpec, WeightSpec, KVPolicy]]:
        """Model, precision and policy of each engine of the grid, in the configuration's order."""
        for cell in itertools.product(self.models, self.weights, self.kv_policies):
            if not any(fnmatchcase(engine_name(*cell), pattern) for pattern in self.leave_out):
                yield cell

    def pairs(self) -> Iterator[tuple[ModelSpec, WeightSpec]]:
        """The models and precisions of the engines of the grid, each once."""
        yield from dict.fromkeys((model, weights) for model, weights, _ in self.cells())


@dataclass(frozen=True)
class Generation:
    """How the work is cut and scheduled. It changes speed and what a crash can lose, never a sample.

    max_rows         the most sequences that one engine decodes together
    shard_questions  the most questions per shard
    shard_samples    the most samples per question in a shard
    max_attempts     attempts at a shard before it is given up
    shard_minutes    the longest time of a shard in a full actor, by the cost model
    hang_minutes     time without a step after which a busy engine counts as hung
    grace_s          seconds after SIGTERM in which running shards may finish
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

    memory_bytes       the whole memory, as the driver reports it
    bandwidth_bytes_s  bytes per second
    flops_s            dense bf16 FLOPs per second; fp16 if the GPU has no bf16
    fp32_flops_s       FP32 FLOPs per second without tensor cores; 0 if unknown
    accelerator_type   the value of Ray's node label `ray.io/accelerator-type`; "" if unknown
    usd_per_hour       price of one GPU; 0 if unknown
    """

    name: str
    memory_bytes: int
    bandwidth_bytes_s: float
    flops_s: float
    accelerator_type: str = ""
    usd_per_hour: float = 0.0
    fp32_flops_s: float = 0.0


@dataclass(frozen=True)
class Pool:
    """The GPUs of one kind, and how many there are or may come. None: as many as Ray has.

    per_node  the most GPUs of a node. None: as many as the nodes turn out to have
    """

    gpu: Gpu
    gpus: int | None = None
    per_node: int | None = None

    @property
    def together(self) -> int | None:
        """The most GPUs over which an engine can be split. None if that is not known."""
        known = [count for count in (self.gpus, self.per_node) if count is not None]
        return min(known, default=None)


@dataclass(frozen=True)
class Cluster:
    """Where the actors run. `address` is "local" (start Ray here) or a Ray address.

    actors          the most engines at a time; None: as many as needed and as the cluster holds
    gpus_per_actor  None: decided by the memory model, on the kinds of GPU in `pools`
    pools           the known kinds of GPU; without them nothing is checked for fit in advance
    autoscaling     whether nodes may be added: demand is announced, and an empty cluster is waited for
    send_code       whether nodes get raysweep's code from the driver
    """

    address: str
    actors: int | None
    cpus_per_actor: float
    gpus_per_actor: float | None
    pools: tuple[Pool, ...] = ()
    autoscaling: bool = False
    send_code: bool = False

    @property
    def on_gpus(self) -> bool:
        """Whether the actors have GPUs or shares of a GPU."""
        return self.gpus_per_actor is None or self.gpus_per_actor > 0

    @property
    def kinds(self) -> tuple[Gpu, ...]:
        """The known kinds of GPU that actors and tasks use; none if they have no GPU."""
        return tuple(pool.gpu for pool in self.pools) if self.on_gpus else ()


@dataclass(frozen=True)
class Prepare:
    """Where quantised checkpoints are kept, and their calibration text. None if none is needed."""

    checkpoints: str
    calibration: Calibration | None


@dataclass(frozen=True)
class Server:
    """An OpenAI-compatible server, and how it is asked. It determines no sample: the engine's spec does.

    address     its base, as in http://host:8000/v1, without credentials
    model       the name under which it serves the engine's model; None: the only one that it lists
    key_env     the environment variable with its key; the key itself is in no configuration
    patience_s  seconds for which it may be away
    """

    address: str
    model: str | None
    key_env: str
    patience_s: float


@dataclass(frozen=True)
class Servers:
    """The servers of the backend `server`: of all engines, and of those whose ids begin with a name."""

    of_all: Server | None = None
    by_engine: tuple[tuple[str, Server], ...] = ()

    def of(self, engine_id: str) -> Server | None:
        """The server of an engine: that of the longest name with which its id begins."""
        named = [(len(name), server) for name, server in self.by_engine if _begins(engine_id, name)]
        return max(named, key=lambda one: one[0])[1] if named else self.of_all


def _begins(engine_id: str, name: str) -> bool:
    return f"{engine_id}.".startswith(f"{name}.")


@dataclass(frozen=True)
class Show:
    """What the stage show shows: a question as a model sees it. None stands for the sweep's first."""

    model: str | None = None
    benchmark: str | None = None
    question: str | None = None


@dataclass(frozen=True)
class Verify:
    """Whether the stage verify moves damaged files aside (`repair`), so they are made again."""

    repair: bool = False


@dataclass(frozen=True)
class Simulate:
    """The assumptions of the stage simulate.

    seed           seed of the random draws
    faults         share of shards that are lost because their actor dies
    mean_length    mean length of traces without measurements, as a share of the largest budget
    length_spread  standard deviation of the logarithm of such lengths
    """

    seed: int = 0
    faults: float = 0.01
    mean_length: float = 0.4
    length_spread: float = 0.8


@dataclass(frozen=True)
class Requirements:
    """What a configuration is recommended for: the stage `recommend`.

    memory_bytes      memory for the weights and the KV caches of a whole batch; None without the stage
    batch_size        questions that are answered at once
    benchmark         one of the sweep's benchmarks; None for each of them
    max_token_budget  the largest token budget allowed; None for no limit
    """

    memory_bytes: float | None
    batch_size: int
    benchmark: str | None
    max_token_budget: int | None


@dataclass(frozen=True)
class RunConfig:
    """The validated configuration of a whole run."""

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
    server: Servers = Servers()
    traces: Traces = field(default_factory=Traces)
    publish: Publish = field(default_factory=Publish)
    compare_with: str | None = None  # the stage `compare`: another run's name or folder

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
            end_closes=forcing.end_closes,
            text_is_answer=forcing.end_closes and benchmark.text_is_answer,
        )
