"""The loop under a virtual clock: no sample is lost or doubled by any fault, and the times are right."""

from collections import Counter, defaultdict
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nouns import some_questions
from support.scheduling_cases import (
    RoughWorld,
    a_job,
    a_shard,
    an_option,
    cells_of,
    lengths_of,
    nodes_of,
)

from raysweep.planning.cutting import split
from raysweep.planning.jobs import Job
from raysweep.planning.measured import Learnt
from raysweep.scheduling import loop
from raysweep.scheduling.bound import least_makespan
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule
from raysweep.scheduling.simulated_world import Luck, SimulatedWorld
from raysweep.shard import cells

options = st.builds(
    an_option,
    gpus=st.sampled_from([0.05, 0.3, 0.5, 1.0, 2.0]),
    kind=st.sampled_from(["", "L4"]),
    rows=st.sampled_from([1, 3, 8, 64]),
    step_s=st.sampled_from([0.5, 2.0]),
    row_s=st.sampled_from([0.0, 0.25]),
    load_s=st.sampled_from([0.0, 10.0, 500.0]),
)
on_cpus = st.builds(an_option, gpus=st.just(0.0), cpus=st.sampled_from([0.5, 2.0]))
kinds = st.lists(options, min_size=1, max_size=2) | st.lists(on_cpus, min_size=1, max_size=1)
sizes = st.tuples(st.integers(1, 6), st.integers(1, 9), st.integers(1, 5))


@st.composite
def job_lists(draw) -> list[Job]:
    made = draw(st.lists(st.tuples(kinds, sizes), min_size=1, max_size=4))
    return [
        a_job(f"m{i}", shards, options, questions=questions, samples=samples)
        for i, (options, (shards, questions, samples)) in enumerate(made)
    ]


node_lists = st.lists(st.integers(2, 4), min_size=1, max_size=4).map(
    lambda gpus: nodes_of(*gpus, kind="L4", cpus=6.0)
)
NOBODY = lambda schedule, event: None  # noqa: E731


def simulate(
    jobs: list[Job],
    nodes: tuple[Node, ...],
    world: SimulatedWorld,
    max_attempts: int = 1000,
    watch=NOBODY,
) -> Schedule:
    schedule = Schedule(jobs, Learnt(), max_attempts)
    loop.run(schedule, world, watch)
    return schedule


def watch_capacity(schedule: Schedule, event: loop.Event | None) -> None:
    """No GPU and no CPU is given to two places."""
    shares: dict[object, float] = defaultdict(float)
    for place in schedule.places.values():
        spot = place.spot
        shares[spot.node_id] += spot.need.cpus / 6.0
        for device in spot.devices:
            shares[spot.node_id, device] += spot.share
    assert max(shares.values(), default=0.0) <= 1 + 1e-9


@settings(max_examples=60, deadline=None)
@given(job_lists(), node_lists, st.integers(0, 10**6), st.integers(0, 25))
def test_whatever_is_lost_every_sample_is_made_once(jobs, nodes, seed, losses):
    world = RoughWorld(nodes, lengths_of(seed), seed, losses)
    schedule = simulate(jobs, nodes, world, watch=watch_capacity)
    assert schedule.failures == [] and not schedule.waits and not schedule.places
    assert cells_of(world.finished) == cells_of(shard for job in jobs for shard in job.shards)
    assert len(world.intervals) == world.started  # each actor had work, and each has ended
    assert not any(amount.samples for queue in schedule.queues for amount in queue.running.values())


class KillingWorld(RoughWorld):
    """One question of the first engine kills every actor that runs it."""

    def run(self, place: Place, task: Task) -> None:
        super().run(place, task)
        shard, killer = task.shard, some_questions(1)[0]
        if shard.engine.model.name == "m0" and killer in shard.questions:
            self._actors[place.number].dies_after[task] = 0


@settings(max_examples=40, deadline=None)
@given(job_lists(), node_lists, st.integers(0, 10**6), st.integers(1, 4))
def test_a_question_that_kills_costs_its_own_samples_and_no_others(jobs, nodes, seed, attempts):
    """Unless it kills the engine so often in a row that the engine is given up."""
    world = KillingWorld(nodes, lengths_of(seed), seed, losses=0)
    schedule = simulate(jobs, nodes, world, attempts)
    wanted = cells_of(shard for job in jobs for shard in job.shards)
    of_engine = {cell for cell in wanted if cell[0].startswith("m0.")}
    bad = {cell for cell in of_engine if cell[1][0] == "sums-0"}
    finished = cells_of(world.finished)
    named = {failure.question_id for failure in schedule.failures}
    excused = of_engine if None in named else bad
    assert {failure.engine_id for failure in schedule.failures} == {"m0.bf16.full"}
    assert named <= {"sums-0", None}
    assert not finished.keys() & bad
    assert finished | Counter(excused) == wanted


@settings(max_examples=60, deadline=None)
@given(job_lists(), node_lists, st.integers(0, 10**6), st.sampled_from([0.0, 0.1]))
def test_no_schedule_beats_the_bound_or_is_busier_than_its_machines(jobs, nodes, seed, faults):
    lengths, world = lengths_of(seed), SimulatedWorld(nodes, lengths_of(seed), Luck(seed, faults))
    simulate(jobs, nodes, world)
    assert world.now() >= least_makespan(jobs, nodes, lengths) * (1 - 1e-9)
    gpus = sum(node.gpus for node in nodes)
    assert world.busy_s <= gpus * world.now() * (1 + 1e-9)


@settings(max_examples=15, deadline=None)
@given(job_lists(), node_lists, st.integers(0, 10**6))
def test_the_same_seed_gives_the_same_schedule(jobs, nodes, seed):
    luck = Luck(seed, shard_faults=0.2, load_spread=0.3, speed_spread=0.3)
    first, second = (SimulatedWorld(nodes, lengths_of(seed), luck) for _ in range(2))
    simulate(jobs, nodes, first)
    simulate(jobs, nodes, second)
    assert first.intervals == second.intervals and first.events == second.events


def step_by_step(traces: list[int], rows: int, step_s: float, row_s: float, load_s: float):
    """When each trace ends, by decoding one token of each row after the other."""
    now, waiting, left, ends = load_s, list(enumerate(traces)), {}, {}
    while waiting or left:
        while waiting and len(left) < rows:
            number, length = waiting.pop(0)
            left[number] = length
        now += step_s + len(left) * row_s
        for number in list(left):
            left[number] -= 1
            if not left[number]:
                del left[number]
                ends[number] = now
    return [ends[number] for number in range(len(traces))]


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=6),
    st.sampled_from([1, 2, 3, 16]),
    st.sampled_from([0.5, 3.0]),
    st.sampled_from([0.0, 0.25]),
    st.integers(0, 10**6),
)
def test_an_actor_decodes_as_one_that_goes_step_by_step(counts, rows, step_s, row_s, seed):
    """The shards come in order, and each ends with the last of its traces."""
    shards = [a_shard(questions=1, samples=n, start=100 * i) for i, n in enumerate(counts)]
    option = an_option(rows=rows, step_s=step_s, row_s=row_s, load_s=7.0)
    ended: dict[str, float] = {}

    def watch(schedule: Schedule, event: loop.Event | None) -> None:
        if isinstance(event, loop.Finished):
            ended[event.task.shard.shard_id] = world.now()

    world = SimulatedWorld(nodes_of(1), lengths_of(seed), Luck(seed))
    schedule = Schedule([Job(shards[0].engine, (option,), tuple(shards))], Learnt(), 1)
    queue = schedule.queues[0]
    queue.take = lambda most, beside, take=queue.take: take(10**6, beside)  # no shard is cut
    loop.run(schedule, world, watch)
    traces = [lengths_of(seed)(shard) for shard in shards]
    ends = iter(step_by_step([n for lengths in traces for n in lengths], rows, step_s, row_s, 7.0))
    expected = [max(next(ends) for _ in lengths) for lengths in traces]
    assert [ended[shard.shard_id] for shard in shards] == pytest.approx(expected)
    assert world.now() == pytest.approx(max(expected))


def test_replicas_share_the_work_and_are_soon_done():
    jobs = [a_job("toy", 64, [an_option(rows=8, load_s=20.0)])]
    lengths = lengths_of(0)
    makespans = []
    for gpus in (1, 2, 4):
        world = SimulatedWorld(nodes_of(gpus), lengths, Luck())
        simulate(jobs, nodes_of(gpus), world)
        makespans.append(world.now())
        assert world.now() <= 1.35 * least_makespan(jobs, nodes_of(gpus), lengths)
    assert makespans[0] > 1.7 * makespans[1] > 1.7 * 1.5 * makespans[2]


def test_a_place_is_noted_from_its_start_to_its_end():
    job = a_job("toy", 1, [an_option(rows=64, load_s=5.0)])
    world = SimulatedWorld(nodes_of(1), lambda shard: [3] * shard.samples, Luck())
    simulate([job], nodes_of(1), world)
    (interval,) = world.intervals  # no other place was started
    assert (interval.start, interval.loaded, interval.end, interval.lost) == (0.0, 5.0, 8.0, False)
    assert (interval.engine_id, interval.devices) == ("toy.bf16.full", (0,))
    assert world.busy_s == pytest.approx(3.0)


@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 3), st.integers(1, 40))
def test_a_shard_in_pieces_is_the_shard(questions, samples, start, most):
    shard = a_shard(questions=questions, samples=samples, start=start)
    pieces = split(shard, most)
    assert Counter(cell for piece in pieces for cell in cells(piece)) == Counter(cells(shard))
    assert pieces[0].samples <= most
    assert all(piece.samples for piece in pieces)
    assert {replace(piece, questions=(), sample_start=0, sample_count=0) for piece in pieces} == {
        replace(shard, questions=(), sample_start=0, sample_count=0)
    }
    whole = most // samples
    assert pieces[0].samples == (min(whole, questions) * samples if whole else min(most, samples))
