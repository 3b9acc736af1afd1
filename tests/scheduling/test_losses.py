"""What the loss of an actor means: what runs again, alone or in halves, and what is given up."""

import pytest
from support.scheduling_cases import (
    a_job,
    a_schedule,
    an_option,
    decide,
    finish,
    handed_out,
    nodes_of,
    started,
    work_off,
)

from raysweep.scheduling.loss_kinds import LossKind
from raysweep.scheduling.losses import Failure
from raysweep.scheduling.places import Place
from raysweep.scheduling.queues import Task
from raysweep.scheduling.schedule import Schedule

ALL_AT_ONCE = an_option(rows=64, load_s=1e6)


def a_loaded_place(schedule: Schedule, now: float = 0.0) -> Place:
    """The only place, loaded and with the tasks that it was given."""
    decide(schedule, now)
    (place,) = schedule.places.values()
    schedule.loaded(place)
    return place


def lose(
    schedule: Schedule, kind: LossKind = "actor", reason: str = "killed", now: float = 0.0
) -> Place:
    place = a_loaded_place(schedule, now)
    schedule.lost(place, kind, reason, now)
    return place


def kill_whatever_holds(schedule: Schedule, question_id: str) -> int:
    """Work off the schedule, in which each task with the question kills its actor. Gives how often."""
    losses = 0
    while True:
        decide(schedule)
        if not schedule.places:
            return losses
        place = next(iter(schedule.places.values()))
        schedule.loaded(place)
        if any(holds(task, question_id) for task in place.in_flight):
            losses += 1
            schedule.lost(place, "error", "ValueError: no", now=0.0)
        else:
            finish(schedule, place)


def holds(task: Task, question_id: str) -> bool:
    return question_id in {question.question_id for question in task.shard.questions}


def test_tasks_that_were_lost_together_wait_behind_the_others_and_at_last_run_alone():
    schedule = a_schedule(a_job("toy", 3, [ALL_AT_ONCE], samples=8), max_attempts=3)
    first = list(lose(schedule).in_flight)
    assert first == []
    assert [task.lost_with_others for task in schedule.queues[0].waiting] == [1, 1, 1]
    lose(schedule)
    assert not schedule.queues[0].waiting
    assert [task.alone for task in schedule.queues[0].quarantine] == [True] * 3
    assert len(a_loaded_place(schedule).in_flight) == 1
    assert schedule.losses.retries == 6


def test_tasks_that_wait_go_before_those_that_were_lost():
    schedule = a_schedule(a_job("toy", 9, [an_option(rows=8, load_s=1e6)]))
    place = a_loaded_place(schedule)
    lost = list(place.in_flight)
    schedule.lost(place, "actor", "killed", now=0.0)
    later = handed_out(decide(schedule))
    assert len(lost) == 2 and not {task.shard for task in lost} & {task.shard for task in later}


def test_a_shard_that_was_lost_alone_is_halved():
    schedule = a_schedule(a_job("toy", 1, [ALL_AT_ONCE], questions=5))
    lose(schedule)
    assert [len(task.shard.questions) for task in schedule.queues[0].quarantine] == [2, 3]


def test_the_question_that_kills_is_found_and_given_up_and_all_others_are_done():
    schedule = a_schedule(a_job("toy", 1, [ALL_AT_ONCE], questions=16), max_attempts=3)
    losses = kill_whatever_holds(schedule, "sums-5")
    assert losses == 4 + 3  # four halvings from 16 questions to 1, and three losses of that one
    (failure,) = schedule.failures
    assert failure.question_id == "sums-5" and failure.benchmark == "sums"
    assert failure.reason == "its question sums-5 failed 3 times alone, last: ValueError: no"
    assert schedule.queues[0].done["sums"].samples == 15 * 2


def test_what_waits_with_a_question_that_was_given_up_goes_on_without_it():
    schedule = a_schedule(a_job("toy", 6, [an_option(rows=4, load_s=1e6)]), max_attempts=3)
    losses = kill_whatever_holds(schedule, "sums-2")
    assert {failure.question_id for failure in schedule.failures} == {"sums-2"}
    assert len({failure.shard_id for failure in schedule.failures}) == 6
    assert schedule.queues[0].done["sums"].samples == 6 * 3 * 2
    assert losses < 6 * 3  # the last shards had no need to find the question again


def test_what_runs_with_a_question_that_was_given_up_meanwhile_is_not_blamed_for_it():
    schedule = a_schedule(a_job("toy", 2, [an_option(rows=4)]), nodes=nodes_of(2), max_attempts=1)
    schedule.queues[0].drop("sums-0")
    one, other = started(decide(schedule))
    schedule.queues[0].drop("sums-1")
    at = next(iter(one.in_flight))
    assert holds(at, "sums-1") and not holds(at, "sums-0")
    schedule.loaded(one)
    schedule.lost(one, "actor", "killed", now=0.0)
    said = {(failure.question_id, failure.reason) for failure in schedule.failures}
    assert said == {("sums-1", "its question sums-1 was given up")}
    assert schedule.queues[0].losses_in_a_row == 0
    assert not any(task.alone for task in schedule.queues[0].waiting)
    assert next(iter(other.in_flight))


def test_an_engine_on_which_shard_after_shard_is_lost_is_given_up_whole():
    schedule = a_schedule(a_job("toy", 64, [ALL_AT_ONCE]), max_attempts=3)
    losses = 0
    while schedule.waits:
        lose(schedule, reason="broken")
        losses += 1
    assert losses == 6 + 2 * 3 + 1
    assert {failure.reason for failure in schedule.failures} == {
        "its engine died 13 times, last: broken"
    }
    assert decide(schedule) == [] and not schedule.places


def test_a_success_forgives_earlier_losses():
    schedule = a_schedule(a_job("toy", 64, [ALL_AT_ONCE]), max_attempts=4)
    for _ in range(3):
        for _ in range(5):
            lose(schedule)
        finish(schedule, a_loaded_place(schedule))
    assert schedule.failures == []


@pytest.mark.parametrize("loaded", [True, False])
@pytest.mark.parametrize("kind", ["node", "server"])
def test_the_loss_of_a_node_or_a_server_is_nobodys_fault(kind, loaded):
    schedule = a_schedule(a_job("toy", 1, [ALL_AT_ONCE]), max_attempts=1)
    for i in range(20):
        now = 100.0 * i
        (place,) = started(decide(schedule, now))
        place.loaded = loaded
        schedule.lost(place, kind, "gone", now)
    assert schedule.failures == [] and schedule.faults == {kind: 20}
    assert [(task.lost_with_others, task.alone) for task in schedule.queues[0].waiting] == [
        (0, False)
    ]
    decide(schedule, 1e6)
    assert sum(work_off(schedule, 1e6).values()) == 8


def test_where_memory_is_too_small_the_rows_are_halved_and_the_work_goes_on():
    schedule = a_schedule(a_job("toy", 9, [an_option(rows=8, load_s=1e6)]))
    rows = []
    for _ in range(4):
        rows.append(lose(schedule, "out_of_memory").rows)
    assert rows == [8, 4, 2, 1]
    assert schedule.failures == []
    assert a_loaded_place(schedule).rows == 1


def test_an_engine_that_cannot_hold_a_single_row_is_given_up():
    schedule = a_schedule(a_job("toy", 9, [an_option(rows=4, load_s=1e6)]), max_attempts=2)
    while schedule.waits:
        lose(schedule, "out_of_memory", "no room")
    assert len(schedule.failures) >= 9
    # One loss with 4 rows, one with 2, and 11 with a single row.
    assert schedule.faults["out_of_memory"] == 2 + 11


def test_replicas_that_run_out_of_memory_together_halve_the_rows_once():
    schedule = a_schedule(a_job("toy", 99, [an_option(rows=8)]), nodes=nodes_of(4))
    for place in started(decide(schedule)):
        schedule.loaded(place)
        schedule.lost(place, "out_of_memory", "no room", now=0.0)
    assert {place.rows for place in started(decide(schedule))} == {4}


def test_an_engine_that_did_not_load_is_tried_on_another_node_first():
    schedule = a_schedule(a_job("toy", 9, [ALL_AT_ONCE]), nodes=nodes_of(1, 1))
    (place,) = started(decide(schedule))
    schedule.lost(place, "actor", "no such file", now=0.0)
    (elsewhere,) = started(decide(schedule))
    assert elsewhere.spot.node_id != place.spot.node_id
    schedule.lost(elsewhere, "error", "no such file", now=1.0)
    assert len(started(decide(schedule))) == 1  # no other node is left
    assert schedule.faults == {"load": 2}


def test_an_engine_that_does_not_load_is_given_up_whole_with_its_reason():
    schedule = a_schedule(
        a_job("toy", 2, [ALL_AT_ONCE]), a_job("good", 1, [ALL_AT_ONCE]), max_attempts=3
    )
    for now in range(3):
        (place,) = started(decide(schedule, now))
        schedule.lost(place, "load", "no such file", now)
    reason = "its engine failed to load 3 times, last: no such file"
    shards = a_job("toy", 2).shards
    assert schedule.failures == [
        Failure(shard.shard_id, "toy.bf16.full", reason, "sums") for shard in shards
    ]
    assert sum(work_off(schedule).values()) == 8


def test_work_of_an_engine_that_did_not_load_keeps_its_order_and_blames_nobody():
    schedule = a_schedule(a_job("toy", 3, [ALL_AT_ONCE]))
    (place,) = started(decide(schedule))
    schedule.lost(place, "load", "no such file", now=0.0)
    waiting = schedule.queues[0].waiting
    assert [task.shard for task in waiting] == list(a_job("toy", 3).shards)
    assert not any(task.lost_with_others or task.lost_alone or task.alone for task in waiting)


def test_a_broken_node_on_which_many_replicas_start_at_once_counts_as_one_attempt():
    schedule = a_schedule(a_job("toy", 99), nodes=nodes_of(8), max_attempts=2)
    for place in started(decide(schedule, now=0.0)):
        schedule.lost(place, "load", "no driver", now=1.0)
    assert schedule.failures == []
    schedule.see(nodes_of(8, 1), now=1.0)
    assert started(decide(schedule, now=1.0))[0].spot.node_id == "node-1"


def test_storage_that_takes_nothing_blames_no_shard_but_stops_the_work():
    schedule = a_schedule(a_job("toy", 9, [ALL_AT_ONCE]), max_attempts=3)
    lose(schedule, "storage", "StorageError: full")
    finish(schedule, a_loaded_place(schedule))  # the storage was only slow
    for _ in range(3):
        assert not schedule.losses.stopped
        lose(schedule, "storage", "StorageError: full")
    assert schedule.losses.stopped == "StorageError: full"
    assert not schedule.waits and decide(schedule) == []
    assert schedule.failures == []


def test_one_shard_that_cannot_be_written_stops_the_work_though_others_can():
    """As where one engine's folder has other rights: each loss is followed by a success elsewhere."""
    jobs = [a_job("toy", 9, [ALL_AT_ONCE]), a_job("other", 9, [an_option(rows=8, load_s=1e6)])]
    schedule = a_schedule(*jobs, nodes=nodes_of(2), max_attempts=3)
    places = {}
    for lost in range(3):
        assert not schedule.losses.stopped
        decide(schedule)
        places = {place.queue.engine.model.name: place for place in schedule.places.values()}
        for place in places.values():
            schedule.loaded(place)
        decide(schedule)
        finish(schedule, places["other"])
        schedule.lost(places["toy"], "storage", f"StorageRefused: {lost}", 0.0)
    assert schedule.losses.stopped == "StorageRefused: 2"
    finish(schedule, places["other"])
    assert schedule.losses.stopped == "StorageRefused: 2"
    assert schedule.failures == []
