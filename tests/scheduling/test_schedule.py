"""The decisions of the scheduler: what starts where, gets which work, and is given back. No Ray, no clock."""

import pytest
from support.nouns import a_cluster
from support.scheduling_cases import (
    a_job,
    a_schedule,
    an_option,
    decide,
    finish,
    handed_out,
    names,
    nodes_of,
    started,
    stopped,
    work_off,
)

from raysweep.driver.ray_world import within
from raysweep.planning.placements import Need
from raysweep.run_config import Gpu, Pool
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.schedule import COOL_DOWN_S

SLOW_TO_LOAD = an_option(load_s=1e6)


def test_engines_start_with_the_longest_remaining_work_first():
    jobs = [a_job("little", 1), a_job("most", 9), a_job("more", 4)]
    schedule = a_schedule(*jobs, nodes=nodes_of(2))
    assert names(started(decide(schedule))) == ["most", "more"]


def test_work_is_measured_in_seconds_not_in_shards():
    slow, fast = an_option(step_s=10.0), an_option(step_s=1.0)
    jobs = [a_job("fast", 5, [fast]), a_job("slow", 1, [slow])]
    assert names(started(decide(a_schedule(*jobs)))) == ["slow"]


def test_an_engine_that_no_place_holds_comes_before_a_replica_of_one_with_more_work():
    jobs = [a_job("little", 1), a_job("most", 99)]
    schedule = a_schedule(*jobs, nodes=nodes_of(3))
    assert names(started(decide(schedule))) == ["most", "little", "most"]


def test_a_replica_starts_only_where_loading_pays():
    assert len(started(decide(a_schedule(a_job("toy", 9), nodes=nodes_of(2))))) == 2
    slow = a_job("toy", 9, [SLOW_TO_LOAD])
    assert len(started(decide(a_schedule(slow, nodes=nodes_of(2))))) == 1


def test_no_more_replicas_start_than_find_work():
    schedule = a_schedule(a_job("toy", 1, [an_option(rows=8)]), nodes=nodes_of(100))
    actions = decide(schedule)
    assert len(started(actions)) == 1  # it takes all 8 samples
    assert stopped(actions) == [] and schedule.most_held == 1


def test_a_quarantined_task_gets_one_place_however_many_samples_it_has():
    schedule = a_schedule(a_job("toy", 2, questions=16), nodes=nodes_of(8), max_attempts=2)
    for place in started(decide(schedule)):
        schedule.lost(place, "actor", "killed", now=0.0)
    while schedule.queues[0].waiting:
        schedule.queues[0].quarantine += [schedule.queues[0].waiting.popleft()]
    for task in schedule.queues[0].quarantine:
        task.alone = True
    quarantined = len(schedule.queues[0].quarantine)
    actions = decide(schedule)
    assert len(started(actions)) == min(8, quarantined)
    assert stopped(actions) == []


def test_an_engine_runs_on_the_cheapest_kind_of_gpu_first_and_on_others_when_that_is_full():
    options = [an_option(kind="L4"), an_option(kind="H100")]
    nodes = (Node("a", 8, 1, "H100"), Node("b", 8, 1, "L4"), Node("c", 8, 1, "A100"))
    schedule = a_schedule(a_job("toy", 9, options), nodes=nodes)
    assert [place.spot.node_id for place in started(decide(schedule))] == ["b", "a"]


def test_a_place_is_given_back_the_moment_its_queue_is_empty_and_the_next_engine_starts_there():
    schedule = a_schedule(a_job("first", 2, [SLOW_TO_LOAD]), a_job("second", 1))
    (place,) = started(decide(schedule))
    while len(place.in_flight) > 1 or schedule.queues[0].waiting_samples:
        finish(schedule, place)
        assert stopped(decide(schedule)) == []
    finish(schedule, place)
    actions = decide(schedule)
    assert stopped(actions) == [place]
    assert names(started(actions)) == ["second"]


def test_a_place_that_was_done_before_it_could_say_that_it_has_capacity_keeps_its_engine():
    schedule = a_schedule(a_job("toy", 9, [SLOW_TO_LOAD]))
    (place,) = started(decide(schedule))
    for task in list(place.in_flight):
        finish(schedule, place, task)
    actions = decide(schedule)
    assert stopped(actions) == [] and handed_out(actions)


def test_a_place_gets_as_much_as_fills_its_rows_and_a_tenth_more():
    schedule = a_schedule(a_job("toy", 9, [an_option(rows=16, load_s=1e6)]))
    # 16 rows and a tenth more, in shards of 8.
    assert sum(task.samples for task in handed_out(decide(schedule))) == 24
    schedule.has_capacity(next(iter(schedule.places.values())))
    assert sum(task.samples for task in handed_out(decide(schedule))) == 8


def test_pieces_shrink_as_the_work_runs_out_but_not_below_what_is_worth_a_piece():
    option = an_option(rows=4, load_s=100.0)
    schedule = a_schedule(a_job("toy", 4, [option], questions=64), nodes=nodes_of(2))
    sizes = [task.samples for task in handed_out(decide(schedule))]
    while schedule.places:
        for place in [place for place in schedule.places.values() if place.in_flight]:
            finish(schedule, place)
        sizes += [task.samples for task in handed_out(decide(schedule))]
    assert sum(sizes) == 4 * 64 * 2
    assert sizes[0] == 128
    assert sizes[-1] <= 4 and max(sizes[-4:]) < max(sizes[:4])


def test_there_are_never_more_places_than_allowed():
    schedule = a_schedule(a_job("toy", 99), a_job("other", 99), nodes=nodes_of(8), most_places=3)
    assert len(started(decide(schedule))) == 3
    assert schedule.most_held == 3
    work_off(schedule)
    assert schedule.most_held == 3


def test_the_emptiest_node_is_kept_for_an_engine_that_waits_for_all_of_it():
    small = [a_job("many-0", 99), a_job("many-1", 99), a_job("few", 2)]
    large = a_job("large", 1, [an_option(gpus=2.0)])
    schedule = a_schedule(*small, large, nodes=nodes_of(2, 2))
    places = started(decide(schedule))
    assert names(places) == ["many-0", "many-1", "few"]  # no replica takes the fourth GPU
    few = places[-1]
    finish(schedule, few)
    assert started(decide(schedule)) == []
    finish(schedule, few)
    actions = decide(schedule)
    assert names(started(actions)) == ["large"]
    assert started(actions)[0].spot.node_id == few.spot.node_id


def test_once_it_has_run_the_others_take_the_node():
    large = a_job("large", 1, [an_option(gpus=2.0)])
    schedule = a_schedule(a_job("many", 99), large, nodes=nodes_of(2))
    many = started(decide(schedule))
    assert names(many) == ["many"]
    work_off(schedule)
    assert not schedule.waits


def test_a_node_that_joins_late_is_used():
    schedule = a_schedule(a_job("toy", 99), nodes=nodes_of(1))
    assert [place.spot.node_id for place in started(decide(schedule))] == ["node-0"]
    schedule.see(nodes_of(1, 1), now=1.0)
    assert [place.spot.node_id for place in started(decide(schedule))] == ["node-1"]


def test_places_on_a_node_that_is_gone_are_lost_and_their_work_runs_elsewhere():
    schedule = a_schedule(a_job("toy", 9), nodes=nodes_of(1, 1))
    one, other = started(decide(schedule))
    at = list(one.in_flight)
    assert schedule.see(nodes_of(1, 1)[1:], now=0.0) == [one]
    assert list(schedule.places.values()) == [other]
    assert schedule.faults == {"node": 1}
    finish(schedule, other)
    assert handed_out(decide(schedule))[0] is at[0]
    assert sum(work_off(schedule).values()) + 8 == 9 * 8


def test_a_node_that_comes_back_has_all_its_capacity_and_is_used_again_after_the_cool_down():
    nodes = nodes_of(1)
    schedule = a_schedule(a_job("toy", 9), nodes=nodes)
    decide(schedule)
    schedule.see((), now=0.0)
    schedule.see(nodes, now=1.0)
    assert decide(schedule, now=1.0) == []
    assert len(started(decide(schedule, now=COOL_DOWN_S))) == 1
    schedule.see((), now=COOL_DOWN_S)
    assert schedule.places == {}


def test_a_node_whose_actor_was_lost_with_it_gets_no_other_during_the_cool_down():
    schedule = a_schedule(a_job("toy", 9, [SLOW_TO_LOAD]), nodes=nodes_of(1, 1))
    (place,) = started(decide(schedule))
    schedule.lost(place, "node", "unavailable", now=0.0)
    (elsewhere,) = started(decide(schedule))
    assert elsewhere.spot.node_id != place.spot.node_id


def test_a_node_is_used_at_once_when_the_server_of_an_engine_was_away():
    schedule = a_schedule(a_job("toy", 9), a_job("other", 9), nodes=nodes_of(1))
    (place,) = started(decide(schedule))
    schedule.lost(place, "server", "no answer for 10 minutes", now=0.0)
    (next_one,) = started(decide(schedule))
    assert next_one.spot.node_id == place.spot.node_id and schedule.faults == {"server": 1}


def test_draining_begins_nothing_and_lets_finish_what_runs():
    schedule = a_schedule(a_job("toy", 99), nodes=nodes_of(1))
    (place,) = started(decide(schedule))
    schedule.draining = True
    schedule.see(nodes_of(1, 1), now=0.0)
    assert decide(schedule) == []
    assert not schedule.waits
    for task in list(place.in_flight):
        finish(schedule, place, task)
    assert stopped(decide(schedule)) == [place]


def test_gpu_time_is_that_of_the_places_that_were_held():
    schedule = a_schedule(a_job("toy", 1, [an_option(gpus=0.5, load_s=1e6)]))
    for place in started(decide(schedule, now=10.0)):
        schedule.leave(place, now=14.0)
    assert schedule.gpu_s == pytest.approx(2.0)


def test_demand_is_every_place_that_pays_even_where_there_is_no_node():
    pays, does_not = an_option(kind="H100"), an_option(gpus=2.0, kind="L4", load_s=1e6)
    schedule = a_schedule(a_job("many", 3, [pays]), a_job("one", 1, [does_not]), nodes=nodes_of(0))
    assert decide(schedule) == []
    wanted = schedule.demand()
    assert wanted.count(pays.need) == 24 and wanted.count(does_not.need) == 1
    schedule.most_places = 2
    assert len(schedule.demand()) == 2


def test_demand_keeps_the_places_that_are_held():
    schedule = a_schedule(a_job("toy", 1, [SLOW_TO_LOAD]))
    decide(schedule)
    assert not schedule.waits
    assert schedule.demand() == [SLOW_TO_LOAD.need]


def test_demand_stays_within_what_the_cluster_may_grow_to():
    gpu = Gpu("h100", 10**9, 1e12, 1e15, "H100")
    endless = Gpu("l4", 10**9, 1e12, 1e15, "L4")
    cluster = a_cluster(pools=(Pool(gpu, 2), Pool(endless, None)))
    large, half, other = Need(1, 2.0, "H100"), Need(1, 0.5, "H100"), Need(1, 1.0, "L4")
    assert within([half, large, half, half, other, half, half], cluster) == [half] * 3 + [
        other,
        half,
    ]
    assert within([other] * 9, cluster) == [other] * 9
    assert within([Need(1, 0.0)] * 3, a_cluster()) == [Need(1, 0.0)] * 3
