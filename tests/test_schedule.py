"""The decisions of the driver, without Ray: who is next, what is tried again, when to give up."""

from examples import a_model, some_shards

from raysweep.schedule import EngineQueue, Schedule
from raysweep.spec import Shard


def a_schedule(*shards: Shard, max_attempts: int = 3) -> Schedule:
    return Schedule(shards or some_shards(), max_attempts)


def two_engines() -> tuple[Shard, ...]:
    """Eight shards: four of a small model, then four of one with more layers."""
    return some_shards(models=(a_model("small"), a_model("large", layers=6)))


def started(schedule: Schedule) -> EngineQueue:
    """What the driver does with a free place."""
    queue = schedule.next_engine()
    assert queue is not None
    queue.actors += 1
    return queue


def taken(queue: EngineQueue, *beside: Shard) -> Shard:
    shard = queue.take(beside)
    assert shard is not None
    return shard


def test_engines_start_with_the_most_work_first():
    small, large = two_engines()[:4], two_engines()[4:]
    schedule = a_schedule(*small, *large)
    assert [started(schedule).engine.model.name for _ in range(2)] == ["large", "small"]
    schedule = a_schedule(*small, large[0])
    assert started(schedule).engine.model.name == "small"


def test_a_place_that_finds_every_engine_held_makes_a_replica_of_the_one_with_most_work():
    schedule = a_schedule(*two_engines())
    names = [started(schedule).engine.model.name for _ in range(5)]
    assert names[2:4] == ["large", "large"]
    assert schedule.queues["large.bf16.full"].actors > schedule.queues["small.bf16.full"].actors


def test_an_engine_without_waiting_work_gets_no_actor():
    schedule = a_schedule()
    queue = started(schedule)
    while queue.take([]):
        pass
    assert schedule.next_engine() is None


def test_shards_are_taken_in_the_order_of_the_plan():
    shards = some_shards()
    queue = started(a_schedule(*shards))
    assert [taken(queue) for _ in shards] == list(shards)
    assert queue.take([]) is None


def test_a_lost_shard_goes_to_the_end_and_runs_alone():
    first, second, *others = some_shards()
    schedule = a_schedule(first, second, *others)
    queue = started(schedule)
    lost, innocent = taken(queue), taken(queue)
    schedule.actor_lost(queue, [lost, innocent], worked=False, reason="killed")
    assert [taken(queue, *others[:i]) for i in range(2)] == others
    assert queue.take(others) is None
    assert taken(queue) == lost
    assert queue.take([lost]) is None
    assert taken(queue) == innocent


def test_a_shard_that_fails_at_every_attempt_is_given_up_and_the_others_go_on():
    schedule = a_schedule(max_attempts=2)
    queue = started(schedule)
    bad = taken(queue)
    schedule.actor_lost(queue, [bad], worked=True, reason="first")
    assert schedule.failures == []
    queue.waiting.rotate(1)
    schedule.actor_lost(queue, [taken(queue)], worked=True, reason="second")
    (failure,) = schedule.failures
    assert (failure.shard_id, failure.engine_id) == (bad.shard_id, "toy.bf16.full")
    assert failure.reason == "failed 2 times, last: second"
    assert len(queue.waiting) == 3


def test_an_engine_that_only_dies_is_given_up_whole():
    schedule = a_schedule(*two_engines())
    queue = schedule.queues["large.bf16.full"]
    for _ in range(3):
        schedule.actor_lost(queue, [taken(queue)], worked=False, reason="no such folder")
    assert not queue.waiting
    assert {failure.engine_id for failure in schedule.failures} == {"large.bf16.full"}
    assert len(schedule.failures) == 4
    assert all("its engine died 3 times, last: no such folder" in f.reason for f in schedule.failures)
    assert started(schedule).engine.model.name == "small"


def test_losing_machines_with_engines_that_worked_is_no_reason_to_give_up():
    schedule = a_schedule()
    queue = started(schedule)
    for _ in range(4):
        schedule.actor_lost(queue, [taken(queue)], worked=True, reason="node died")
    assert len(queue.waiting) == 4
    assert schedule.failures == []


def test_a_success_forgives_earlier_deaths():
    schedule = a_schedule()
    queue = started(schedule)
    for _ in range(4):
        schedule.actor_lost(queue, [], worked=False, reason="killed")
        schedule.actor_lost(queue, [], worked=False, reason="killed")
        schedule.succeeded(queue)
    assert len(queue.waiting) == 4


def test_replicas_share_one_queue():
    shards = some_shards(samples=2, shard_samples=1, shard_questions=1)
    schedule = a_schedule(*shards)
    one, other = started(schedule), started(schedule)
    assert one is other
    assert [taken(one), taken(other)] == list(shards[:2])
