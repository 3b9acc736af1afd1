"""What a plan costs: where each engine runs, for how long, and for how much.

The expected tokens follow the lengths of finished traces and never exceed the budgets. The expected time is
the cost model's time, multiplied by the slowness of finished parts. An engine runs on the kind of GPU on
which its tokens are cheapest. The cost includes the work and one load per engine. It leaves out the idle
time of GPUs at the end of a run.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from raysweep.planning.grid import made_streams
from raysweep.planning.lengths import run_lengths
from raysweep.planning.loads import NO_LOADS, Loads
from raysweep.planning.measured import Kind, Learnt, kind_of, learnt_of
from raysweep.planning.placements import Placement, modelled, placements
from raysweep.planning.plan import Plan, PlannedShard
from raysweep.run_config import RunConfig
from raysweep.spec import EngineSpec
from raysweep.storage.part import Part

HOUR_S = 3600


@dataclass(frozen=True)
class Tokens:
    """Tokens of an engine's shards, forks included: the largest and the expected number."""

    at_most: float = 0.0
    expected: float = 0.0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.at_most + other.at_most, self.expected + other.expected)


@dataclass(frozen=True)
class Estimate:
    """An engine's work, and where it runs.

    placement  None if the engine fits on no GPU of the cluster
    whole      tokens of all its shards
    to_do      tokens of its unfinished shards
    slowness   measured seconds per token divided by modelled ones
    """

    engine: EngineSpec
    placement: Placement | None
    whole: Tokens
    to_do: Tokens
    slowness: float

    def gpu_hours(self, tokens: Tokens) -> float | None:
        """GPU-hours of the work and one load. None without a GPU of a known kind."""
        place = self.placement
        if place is None or place.gpu is None:
            return None
        busy_s = tokens.expected * place.token_s * self.slowness
        load_s = place.speed.load_s if tokens.at_most else 0.0
        return (busy_s + load_s) * place.fit.gpus / HOUR_S


def estimates(config: RunConfig, plan: Plan, loads: Loads = NO_LOADS) -> tuple[Estimate, ...]:
    """The estimate of each engine of the plan, given the loads of earlier sessions."""
    generation, cluster, lengths = config.generation, config.cluster, run_lengths(config)
    options = {
        engine.engine_id: placements(engine, generation, cluster, lengths, loads)
        for engine in plan.engines
    }
    ways = {key: [place.option(cluster) for place in places] for key, places in options.items()}
    kinds = kinds_of(config, plan.engines, plan.parts)
    learnt = learnt_of(plan.parts, kinds, modelled(ways))
    whole, to_do = tokens_of(config, plan.shards, learnt)
    return tuple(
        Estimate(
            engine=engine,
            placement=next(iter(options[key]), None),
            whole=whole[key],
            to_do=to_do[key],
            slowness=learnt.slowness(key),
        )
        for engine in plan.engines
        for key in [engine.engine_id]
    )


def kinds_of(
    config: RunConfig, engines: Iterable[EngineSpec], parts: Iterable[Part]
) -> dict[str, Kind]:
    """What the samples of each of the engines' streams are, by the stream's id, of which there are parts."""
    made = made_streams(config, engines, {part.stream_id for part in parts})
    return {stream_id: kind_of(stream) for stream_id, stream in made.items()}


def tokens_of(
    config: RunConfig, shards: Iterable[PlannedShard], learnt: Learnt
) -> tuple[Mapping[str, Tokens], Mapping[str, Tokens]]:
    """The tokens of all shards and of the unfinished ones, by engine."""
    samples: dict[tuple[str, Kind, bool], int] = defaultdict(int)
    for shard in shards:
        kind = Kind(shard.benchmark, shard.est_tokens / shard.samples)
        samples[shard.engine_id, kind, shard.shard is not None] += shard.samples
    whole: dict[str, Tokens] = defaultdict(Tokens)
    to_do: dict[str, Tokens] = defaultdict(Tokens)
    for (engine_id, kind, missing), count in samples.items():
        each = learnt.tokens_per_sample(engine_id, kind)
        tokens = Tokens(count * kind.at_most, count * each)
        whole[engine_id] += tokens
        if missing:
            to_do[engine_id] += tokens
    return whole, to_do
