"""From round to round under a virtual clock: what starts when, what it saves, and when nothing starts."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from functools import partial

import pytest
from support.adaptive_runs import an_adaptive_config
from support.nouns import a_cluster
from support.scheduling_cases import RoughWorld, an_option, lengths_of, nodes_of

from benchmarks.planted_rounds import PlantedRounds, run_in_rounds, run_whole
from raysweep.adaptive.ceiling import Ceiling, spent_before
from raysweep.adaptive.supply import SupplyInRounds
from raysweep.planning.grid import engines
from raysweep.planning.jobs import Job, jobs_of
from raysweep.planning.lengths import run_lengths
from raysweep.planning.loads import LoadTime
from raysweep.planning.measured import Learnt
from raysweep.planning.placements import Need, Option
from raysweep.planning.plan import make_plan
from raysweep.planning.speed import Speed
from raysweep.scheduling import loop
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import Luck, SimulatedWorld
from raysweep.shard import Shard, cells
from raysweep.storage.part import Part

CONFIG = an_adaptive_config(cluster=a_cluster(actors=None, gpus_per_actor=1.0), max_rows=2)
ENGINES = engines(CONFIG)
NODES = nodes_of(4)
LIVING = {"toy-1.bf16.full", "toy-8.bf16.full"}


def keeps_two(benchmark: str, n: int, engines: Mapping[str, int]) -> Mapping[str, int]:
    """Two engines live on, up to fewer and fewer token budgets."""
    return {name: max(1, budgets - 1) for name, budgets in engines.items() if name in LIVING}


def lengths(shard: Shard) -> list[int]:
    """Now and then a trace is forty times as long as the others."""
    return [400 if length % 17 == 0 else 10 for length in lengths_of(3)(shard)]


def some_rounds(leads=lambda engine_id: engine_id in LIVING) -> PlantedRounds:
    return PlantedRounds(CONFIG, ENGINES, keeps_two, leads)


def make_jobs(shards) -> list[Job]:
    """Jobs whose engines take a second per token, and load in 5 seconds."""
    jobs = jobs_of(shards, CONFIG.generation, CONFIG.cluster, run_lengths(CONFIG))
    return [replace(job, options=(an_option(rows=2, load_s=5.0),)) for job in jobs]


def run(rounds, world, ceiling=None, **others) -> tuple[Schedule, SupplyInRounds]:
    schedule = Schedule((), Learnt(), max_attempts=1000)
    supply = SupplyInRounds(rounds, make_jobs, ceiling, **others)
    supply.begin(schedule, 0.0)
    loop.run(schedule, world, lambda schedule, event: None, supply)
    return schedule, supply


def wanted() -> set:
    """The samples that the rounds want: 4 of all engines, then those of the two that live on."""
    return {
        (engine.engine_id, benchmark.name, question.question_id, index)
        for engine in ENGINES
        for benchmark in CONFIG.sweep.benchmarks
        for question in benchmark.questions
        for index in range(16 if engine.engine_id in LIVING else 4)
    }


def made(shards) -> Counter:
    return Counter(
        (shard.engine.engine_id, shard.benchmark, *cell)
        for shard in shards
        for cell in cells(shard)
    )


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("early", [True, False])
def test_whatever_is_lost_each_wanted_sample_is_made_once(seed, early):
    world = RoughWorld(NODES, lengths, seed, losses=seed % 8)
    schedule, _ = run(some_rounds(), world, begins_early=early)
    found = made(world.finished)
    assert set(found) == wanted() and set(found.values()) == {1}
    assert not schedule.waits and not schedule.places and schedule.failures == []


def test_leaders_that_begin_early_save_time_and_make_the_same_samples():
    nodes = nodes_of(8)
    worlds = {early: RoughWorld(nodes, lengths, 0, losses=0) for early in (False, True)}
    for early, world in worlds.items():
        run(some_rounds(), world, begins_early=early)
    assert worlds[True].now() < 0.95 * worlds[False].now()
    assert set(made(worlds[True].finished)) == set(made(worlds[False].finished)) == wanted()


def test_rounds_take_less_than_the_whole_run():
    world = SimulatedWorld(NODES, lengths, Luck())
    whole = Schedule(make_jobs(make_plan(CONFIG, ()).to_do), Learnt(), max_attempts=3)
    loop.run(whole, world, lambda schedule, event: None)
    rounds, _ = run(some_rounds(), SimulatedWorld(NODES, lengths, Luck()))
    assert rounds.gpu_s < 0.8 * whole.gpu_s


def test_both_are_run_under_the_virtual_clock_as_they_are_configured():
    shards = make_plan(CONFIG, ()).to_do
    whole = run_whole(CONFIG, shards, NODES, SimulatedWorld(NODES, lengths, Luck()))
    rounds = run_in_rounds(some_rounds(), NODES, SimulatedWorld(NODES, lengths, Luck()))
    assert (rounds.samples, whole.samples) == (len(wanted()), sum(s.samples for s in shards))
    assert rounds.makespan_s > 0 and rounds.gpu_hours > 0


def test_an_engine_that_led_and_is_out_after_all_gives_up_what_it_has_not_begun():
    leads_wrongly = some_rounds(lambda engine_id: engine_id == "toy-4.bf16.full")
    world = RoughWorld(NODES, lengths, 0, losses=0)
    run(leads_wrongly, world)
    found = made(world.finished)
    assert set(found) >= wanted() and set(found.values()) == {1}
    vain = set(found) - wanted()
    assert {cell[0] for cell in vain} <= {"toy-4.bf16.full"}
    round_of_it = 4 * sum(len(b.questions) for b in CONFIG.sweep.benchmarks)
    assert len(vain) < round_of_it


def test_a_round_that_would_exceed_the_ceiling_is_not_started():
    whole = run(some_rounds(), SimulatedWorld(NODES, lengths, Luck()))[0].gpu_s / 3600
    world = RoughWorld(NODES, lengths, 0, losses=0)
    ceiling = Ceiling(gpu_hours=0.6 * whole)
    schedule, supply = run(some_rounds(), world, ceiling)
    assert schedule.gpu_s / 3600 <= 0.6 * whole
    assert set(made(world.finished)) < wanted()
    assert "GPU-hours are spent" in supply.exceeded
    assert "a larger sweep.adaptive.max_gpu_hours" in supply.exceeded


def test_nothing_starts_below_the_first_round_s_cost():
    schedule, supply = run(
        some_rounds(), SimulatedWorld(NODES, lengths, Luck()), Ceiling(usd=0.0, prices={"": 3.0})
    )
    assert schedule.started == 0
    assert supply.exceeded.startswith("$0.00 are spent, and the next round would bring that to")


def test_work_stops_when_what_runs_has_reached_the_ceiling():
    """The estimate was too low, as where traces are longer than those that were measured."""
    hours = run(some_rounds(), SimulatedWorld(NODES, lengths, Luck()))[0].gpu_s / 3600

    class Trusting(Ceiling):
        def allows(self, schedule, jobs, now):
            return True

    world = RoughWorld(NODES, lengths, 0, losses=0)
    schedule, _ = run(some_rounds(), world, Trusting(gpu_hours=hours / 3))
    assert schedule.draining and "are spent" in schedule.stopped
    assert hours / 3 < schedule.gpu_s / 3600 < hours / 2


def test_what_earlier_sessions_took_counts():
    way = Option(Need(1.0, 2.0, "H100"), Speed(2.0, 8, 1.0, 0.0, 0.0))
    part = partial(Part, "toy", "aa", "stream", {}, 0, 4)
    parts = [
        part(engine_s=10.0, device="H100"),
        part(engine_s=5.0, device="L4"),
        part(engine_s=9.0),
    ]
    loads = {("H100", "toy"): LoadTime(2, 100.0)}
    spent = spent_before(parts, loads, {"toy": [way]})
    assert spent == {"H100": 220.0, "L4": 5.0, "": 0.0}
    # With idle GPUs the sessions that ended have noted more.
    assert sum(spent_before(parts, loads, {"toy": [way]}, 1.0).values()) == pytest.approx(3600)
    ceiling = Ceiling(usd=1.0, prices={"H100": 3.0}, earlier=spent)
    assert ceiling.costs(spent)[0] == pytest.approx(225 / 3600 * 3.0)
