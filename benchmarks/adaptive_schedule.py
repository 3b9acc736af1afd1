"""How long an adaptive run takes: with and without early starts, beside the full run, under a virtual clock.

    python -m benchmarks.adaptive_schedule        about four minutes

The work is the study's grid (conf/sweep/full.yaml) on 64 H100 GPUs. The decisions are planted: after each
look an engine lives on by chance, with the shares in SURVIVE, and keeps by chance a number of its budgets.
Which of them live is the same in all runs. Engines that live to the end are seen to lead before a round is
whole with the chance SEEN, and others with the chance MISTAKEN: these begin a round in vain.
"""

import argparse
import random
from collections.abc import Iterator, Mapping
from functools import partial

from benchmarks.configured import configured
from benchmarks.planted_rounds import Clocked, PlantedRounds, run_in_rounds, run_whole
from raysweep.adaptive.rules import looks
from raysweep.planning.lengths import run_lengths
from raysweep.planning.plan import make_plan
from raysweep.planning.unfit import held
from raysweep.run_config import RunConfig
from raysweep.scheduling.simulate import nodes_of
from raysweep.scheduling.simulated_world import Luck, SimulatedWorld
from raysweep.scheduling.trace_lengths import TraceLengths

# The share of the engines that live on after the first look, and after each later one.
SURVIVE = (0.45, 0.85)
SEEN, MISTAKEN = 0.5, 0.05
LUCK = Luck(seed=0, shard_faults=0.01, load_spread=0.3)


def study(gpus: int, samples: int) -> RunConfig:
    """The grid of conf/sweep/full.yaml, planned for `gpus` H100 GPUs."""
    return configured(
        "+sweep=full",
        "stages=[simulate]",
        f"sweep.samples={samples}",
        "cluster.gpu=h100-80",
        f"cluster.gpus={gpus}",
    )


def planted(
    seed: int, benchmark: str, n: int, engines: Mapping[str, int], last: int
) -> Mapping[str, int]:
    """The engines that live on after a look, and the number of their token budgets."""
    share = SURVIVE[0] if n == looks(last)[0] else SURVIVE[1]
    found = {}
    for name, budgets in engines.items():
        dice = random.Random(repr((seed, benchmark, n, name)))
        if dice.random() < share:
            found[name] = dice.randint(max(1, budgets // 2), budgets)
    return found


def lives(seed: int, config: RunConfig, name: str) -> bool:
    """Whether an engine lives to the end on some benchmark."""
    last = config.sweep.samples
    return any(
        all(planted(seed, one.name, n, {name: 8}, last) for n in looks(last)[:-1])
        for one in config.sweep.benchmarks
    )


def leads(seed: int, config: RunConfig, name: str) -> bool:
    """Whether an engine is seen to lead."""
    chance = SEEN if lives(seed, config, name) else MISTAKEN
    return random.Random(repr((seed, "leads", name))).random() < chance


def compare(gpus: int, samples: int, seed: int) -> Iterator[tuple[str, Clocked]]:
    """The full run, and the adaptive one without and with early starts."""
    config = study(gpus, samples)
    plan = make_plan(config, ())
    shards, unfit = held(config, plan.to_do, run_lengths(config))
    left_out = {shard.engine.engine_id for shard in unfit}
    engines = [one for one in plan.grid if one.engine_id not in left_out]
    nodes = nodes_of(config.cluster)

    def world() -> SimulatedWorld:
        return SimulatedWorld(nodes, TraceLengths(0.4, 0.8), LUCK)

    def rounds() -> PlantedRounds:
        decide = partial(planted, seed, last=samples)
        return PlantedRounds(config, engines, decide, partial(leads, seed, config))

    yield "full run", run_whole(config, shards, nodes, world())
    yield "rounds, no early starts", run_in_rounds(rounds(), nodes, world(), begins_early=False)
    yield "rounds, early starts", run_in_rounds(rounds(), nodes, world())
    yield "early, longest first", run_in_rounds(rounds(), nodes, world(), ranks=False)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gpus", type=int, default=64)
    parser.add_argument("--samples", type=int, default=16, help="samples per question")
    parser.add_argument("--seeds", type=int, default=1)
    options = parser.parse_args()
    for seed in range(options.seeds):
        print(f"{options.gpus} GPUs, {options.samples} samples per question, seed {seed}")
        full = None
        for name, one in compare(options.gpus, options.samples, seed):
            full = full or one
            print(
                f"    {name:25} {one.makespan_s / 3600:7.1f} h ({one.makespan_s / full.makespan_s:5.3f})"
                f"   {one.gpu_hours:8,.0f} GPU-hours ({one.gpu_hours / full.gpu_hours:5.3f})"
                f"   {one.busy_share:6.1%} busy   {one.samples:,} samples",
                flush=True,
            )


if __name__ == "__main__":
    main()
