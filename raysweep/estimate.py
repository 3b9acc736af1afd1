"""What a plan costs: where each engine runs, for how long, and for how much.

Tokens are those that finished traces make likely, at most those of the budgets; their time is the cost
model's, as much slower as the finished parts were. An engine runs on the kind of GPU on which a token of
it is cheapest. Counted is work, and one load of each engine; not the tail in which GPUs idle.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysweep.cost import Speed, speed
from raysweep.fit import Fit, fit_of, placed, row_tokens
from raysweep.learnt import Learnt, Modelled, learnt_of
from raysweep.plan import Plan, PlannedShard, whole_stream
from raysweep.run_config import Cluster, Gpu, RunConfig
from raysweep.spec import EngineSpec

HOUR_S = 3600


@dataclass(frozen=True)
class Placement:
    """An actor of an engine: on GPUs of a kind, or where nothing is known of any (None) on a nominal CPU."""

    gpu: Gpu | None
    fit: Fit
    speed: Speed

    @property
    def token_s(self) -> float:
        """Seconds a token by the cost model, its actor's rows all taken."""
        return 1 / self.speed.tokens_s()

    @property
    def token_price(self) -> tuple[float, float]:
        """What a token costs: in dollars; in seconds of a GPU where nobody has said a price."""
        gpu_s = self.token_s * self.fit.gpus
        return (self.gpu.usd_per_hour if self.gpu else 0) * gpu_s, gpu_s


@dataclass(frozen=True)
class Tokens:
    """Of an engine's shards: at most, and expected. Forks count."""

    at_most: float = 0.0
    expected: float = 0.0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.at_most + other.at_most, self.expected + other.expected)


@dataclass(frozen=True)
class Estimate:
    """An engine's work, and where it is done.

    placement  None: it fits on no GPU of the cluster
    whole      all of its shards; `to_do` those that are not finished
    slowness   measured seconds a token over modelled ones
    """

    engine: EngineSpec
    placement: Placement | None
    whole: Tokens
    to_do: Tokens
    slowness: float

    def gpu_hours(self, tokens: Tokens) -> float | None:
        """Of work and one load; None where there is no GPU, or no telling which."""
        place = self.placement
        if place is None or place.gpu is None:
            return None
        busy_s = tokens.expected * place.token_s * self.slowness
        load_s = place.speed.load_s if tokens.at_most else 0.0
        return (busy_s + load_s) * place.fit.gpus / HOUR_S


def estimates(config: RunConfig, plan: Plan) -> tuple[Estimate, ...]:
    """One for each engine of the plan."""
    options = {engine.engine_id: options_of(config, engine) for engine in plan.engines}
    learnt = learnt_of(plan.parts, benchmarks_of(config, plan.engines), modelled(options))
    whole, to_do = tokens_of(config, plan.shards, learnt)
    return tuple(
        Estimate(
            engine=engine,
            placement=min(options[key], key=lambda place: place.token_price, default=None),
            whole=whole[key],
            to_do=to_do[key],
            slowness=learnt.slowness(key),
        )
        for engine in plan.engines
        for key in [engine.engine_id]
    )


def options_of(config: RunConfig, engine: EngineSpec) -> tuple[Placement, ...]:
    """Where an actor of the engine may run: on each kind of GPU of the cluster that holds it."""
    cluster, tokens = config.cluster, row_tokens(config)
    fits = (
        [(pool.gpu, fit_of(config, engine, pool)) for pool in cluster.pools]
        if has_known_gpus(cluster)
        else [(None, placed(engine, None, config.generation.max_rows, tokens))]
    )
    return tuple(
        Placement(gpu, fit, speed(engine, gpu, fit, tokens)) for gpu, fit in fits if fit is not None
    )


def has_known_gpus(cluster: Cluster) -> bool:
    """Whether actors run on GPUs of which the kinds are named."""
    return bool(cluster.pools) and cluster.on_gpus


def benchmarks_of(config: RunConfig, engines: Iterable[EngineSpec]) -> dict[str, str]:
    """The benchmark of each stream of samples, by the stream's id."""
    return {
        whole_stream(config, engine, benchmark).stream_id: benchmark.name
        for engine in engines
        for benchmark in config.sweep.benchmarks
    }


def modelled(options: Mapping[str, Iterable[Placement]]) -> Modelled:
    """Seconds of an engine's token on a device; "" is a CPU. 0 for a device that is no option."""
    found = {
        (engine_id, place.gpu.name if place.gpu else ""): place.token_s
        for engine_id, places in options.items()
        for place in places
    }
    return lambda engine_id, device: found.get((engine_id, device), 0.0)


def tokens_of(
    config: RunConfig, shards: Iterable[PlannedShard], learnt: Learnt
) -> tuple[Mapping[str, Tokens], Mapping[str, Tokens]]:
    """The tokens of all shards, and of those to do, by engine."""
    at_most: dict[tuple[str, str, bool], int] = defaultdict(int)
    samples: dict[tuple[str, str, bool], int] = defaultdict(int)
    for shard in shards:
        key = (shard.engine_id, shard.benchmark, shard.shard is not None)
        at_most[key] += shard.est_tokens
        samples[key] += len(shard.question_ids) * shard.sample_count
    whole: dict[str, Tokens] = defaultdict(Tokens)
    to_do: dict[str, Tokens] = defaultdict(Tokens)
    for key, limit in at_most.items():
        engine_id, benchmark, missing = key
        each = learnt.tokens_per_sample(engine_id, benchmark, limit / samples[key])
        tokens = Tokens(limit, samples[key] * each)
        whole[engine_id] += tokens
        if missing:
            to_do[engine_id] += tokens
    return whole, to_do
