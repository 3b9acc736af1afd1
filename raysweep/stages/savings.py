"""What an adaptive run has stopped and saved, for the result tables and for summary.json."""

from collections import defaultdict
from dataclasses import asdict, replace
from typing import Any

from raysweep.adaptive.course import course_of, stopped_places
from raysweep.adaptive.rounds import Rounds
from raysweep.planning.cost import Cost, cost_of
from raysweep.planning.estimate import Tokens, estimates
from raysweep.planning.loads import loads_of, noted_loads
from raysweep.planning.plan import make_plan
from raysweep.reducing.stopping import NOTHING_STOPPED, Stopping
from raysweep.reporting.adaptive_text import guarantee, never_judged
from raysweep.run_config import RunConfig
from raysweep.stages.folder_view import FolderView


def stopping_of(rounds: Rounds | None) -> Stopping:
    """What is stopped, as results must know of it."""
    if rounds is None:
        return NOTHING_STOPPED
    at = {
        (engine_id, name, budget, group): n
        for name, race in rounds.races.items()
        for (engine_id, budget, group), n in stopped_places(race).items()
    }
    wanted = {
        key: max((segment.stop for segment in segments), default=0)
        for key, segments in rounds.demands().items()
    }
    looks = max(len(race.rules.looks) for race in rounds.races.values())
    return Stopping(looks, at, wanted, rounds.done)


def adaptive_summary(folder: FolderView) -> dict[str, Any]:
    """The entry of summary.json on an adaptive run: rounds, what was stopped and saved, and the guarantee.

    The entry is null for any other run, as an adaptive one may have been reduced before.
    """
    rounds, config = folder.rounds, folder.config
    adaptive = config.sweep.adaptive
    if rounds is None or adaptive is None:
        return {"adaptive": None}
    course = course_of(rounds)
    done = rounds.done and not folder.plan.to_do
    unjudged = sum(one.never_judged for one in course)
    found = {
        "epsilon": adaptive.epsilon,
        "delta": adaptive.delta,
        "memory_bytes": adaptive.memory_bytes,
        "batch_size": adaptive.batch_size,
        "samples": config.sweep.samples,
        "done": done,
        "benchmarks": [asdict(one) for one in course],
        "made": asdict(made(folder)),
        "full_run": asdict(full_run(folder)),
        "guarantee": guarantee(adaptive, config.sweep.samples, len(course)) if done else None,
        "never_judged": never_judged(unjudged) if done else "",
    }
    return {"adaptive": found}


def so_far(folder: FolderView) -> Cost:
    """What the samples cost that the rounds so far want, made or not."""
    return cost_of(folder.costs, {cost.engine.engine_id: cost.whole for cost in folder.costs})


def made(folder: FolderView) -> Cost:
    """What was decoded for the samples that the run wants, by the parts' own counts."""
    wanted = {shard.shard_id for shard in folder.plan.shards if shard.shard is None}
    tokens: dict[str, int] = defaultdict(int)
    for part in folder.plan.parts:
        if part.shard_id in wanted:
            tokens[part.engine_id] += part.tokens
    return cost_of(folder.costs, {key: Tokens(n, n) for key, n in tokens.items()})


def full_run(folder: FolderView) -> Cost:
    """What every sample would cost, by the lengths of the traces so far."""
    config = every_sample(folder.config)
    plan = make_plan(config, folder.parts)
    costs = estimates(config, plan, loads_of(noted_loads(folder.store), plan.engines))
    return cost_of(costs, {cost.engine.engine_id: cost.whole for cost in costs})


def every_sample(config: RunConfig) -> RunConfig:
    """The same run without rounds."""
    return replace(config, sweep=replace(config.sweep, adaptive=None))
