"""The decisions of the driver, without Ray: who is next, what is tried again, when to give up."""

from examples import a_model, some_shards
from raysweep.schedule import EngineQueue, Failure, Schedule

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
    schedule.actor_lost(queue, [taken(queue), taken(queue)], "killed")
    assert [taken(queue, *others[:i]) for i in range(2)] == others
    assert queue.take(others) is None
    assert taken(queue) == first
    assert queue.take([first]) is None
    assert taken(queue) == second


def test_a_shard_that_is_lost_at_every_attempt_is_given_up_and_the_others_go_on():
    bad, *others = some_shards()
    schedule = a_schedule(bad, *others, max_attempts=2)
    queue = started(schedule)
    schedule.actor_lost(queue, [taken(queue)], "first")
    assert schedule.failures == []
    assert [taken(queue) for _ in others] == others
    schedule.actor_lost(queue, [taken(queue)], "second")
    reason = "failed 2 times, last: second"
    assert schedule.failures == [Failure(bad.shard_id, "toy.bf16.full", reason)]


def test_an_engine_that_does_not_load_is_given_up_whole():
    schedule = a_schedule(*two_engines())
    queue = schedule.queues["large.bf16.full"]
    for _ in range(3):
        schedule.load_failed(queue, [taken(queue), taken(queue)], "no such folder")
    assert not queue.waiting
    assert {failure.engine_id for failure in schedule.failures} == {"large.bf16.full"}
    assert {failure.shard_id for failure in schedule.failures} == {
        shard.shard_id for shard in two_engines()[4:]
    }
    for failure in schedule.failures:
        assert failure.reason == "its engine failed to load 3 times, last: no such folder"
    assert started(schedule).engine.model.name == "small"


def test_shards_of_an_engine_that_did_not_load_keep_their_order_and_may_run_together():
    shards = some_shards()
    schedule = a_schedule(*shards)
    queue = started(schedule)
    schedule.load_failed(queue, [taken(queue), taken(queue)], "node died")
    assert list(queue.waiting) == list(shards)
    assert queue.take([taken(queue)]) == shards[1]


def test_an_engine_on_which_every_shard_dies_is_given_up_before_each_was_tried_thrice():
    shards = some_shards(samples=16)
    schedule = a_schedule(*shards)
    queue = started(schedule)
    deaths = 0
    while queue.waiting:
        schedule.actor_lost(queue, [taken(queue)], "out of memory")
        deaths += 1
    assert deaths == 9
    assert len(schedule.failures) == len(shards) == 16


def test_a_success_forgives_earlier_deaths():
    schedule = a_schedule()
    queue = started(schedule)
    for _ in range(4):
        schedule.load_failed(queue, [], "killed")
        schedule.load_failed(queue, [], "killed")
        schedule.succeeded(queue)
    assert len(queue.waiting) == 4


def test_replicas_share_one_queue():
    shards = some_shards(samples=2, shard_samples=1, shard_questions=1)
    schedule = a_schedule(*shards)
    one, other = started(schedule), started(schedule)
    assert one is other
    assert [taken(one), taken(other)] == list(shards[:2])
