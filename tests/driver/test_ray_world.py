"""How the driver reads Ray's exceptions, how long it waits, and how it estimates the time left."""

from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import cast

import pytest
from ray.exceptions import (
    ActorDiedError,
    ActorUnavailableError,
    ActorUnschedulableError,
    RayError,
    RayTaskError,
)
from support.nouns import a_cluster, some_shards
from support.scheduling_cases import a_job, a_schedule, an_option, decide, finish, started

from raysweep.driver import ray_world
from raysweep.driver.generate import ENDING_S, Drain
from raysweep.driver.preflight import Preflight
from raysweep.driver.ray_errors import kind_of, reason_of
from raysweep.driver.ray_world import LONG_LOAD_S, PATIENCE_S, RayWorld, events_of, named, told
from raysweep.errors import StorageError, StorageRefused
from raysweep.planning.lengths import Lengths
from raysweep.progress.watch import snapshot_of
from raysweep.run_config import Server, Servers
from raysweep.scheduling.loop import Loaded, Lost
from raysweep.scheduling.nodes import Node
from raysweep.scheduling.places import Place
from raysweep.storage.store import Store
from raysweep.system.sigterm import Terminated


def test_the_calls_of_an_engine_share_a_name_for_each_benchmark():
    """Ray keeps metrics for each name that it has seen, so the names must not grow with the shards."""
    shards = some_shards()
    assert len(shards) > 1
    assert {named(shard) for shard in shards} == {
        f"{shard.engine.engine_id} {shard.benchmark}" for shard in shards
    }


def in_call(cause: Exception) -> RayTaskError:
    """Ray's exception for an error that a call has raised."""
    return RayTaskError("run_shard", "Traceback ...", cause)


def died(said: str) -> ActorDiedError:
    """Ray's exception for an actor whose process has died."""
    error = ActorDiedError()
    error.error_msg = f"The actor died unexpectedly before finishing this task.\n{said}"
    return error


def in_constructor(said: str) -> ActorDiedError:
    return ActorDiedError(in_call(ValueError(said)))


class OutOfMemoryError(RuntimeError):
    """Has the name of torch's exception."""


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (in_call(ValueError("no")), "error"),
        (in_call(OutOfMemoryError("CUDA out of memory")), "out_of_memory"),
        (in_call(StorageError("full")), "storage"),
        (in_call(StorageRefused("read-only")), "storage"),
        (died("The actor died because its node has died. Node Id: ab"), "node"),
        (died("Worker unexpectedly exits with a connection error code 2. End of file."), "actor"),
        (
            died("1 worker(s) were killed due to the node running low on memory. See raylet.out"),
            "actor",
        ),
        (in_constructor("no such file"), "load"),
        (in_constructor("the node died, says the raylet"), "load"),
        (ActorUnschedulableError("The node specified doesn't exist any more"), "node"),
        (ActorUnavailableError("connection lost", actor_id=None), "node"),
    ],
)
def test_what_is_lost_is_told_by_rays_exception(error: RayError, kind: str):
    assert kind_of(error) == kind


def test_what_an_engine_raised_shows_that_it_was_loaded_whichever_is_heard_first():
    schedule = a_schedule(a_job("toy", 1, [an_option()]))
    (place,) = started(decide(schedule))
    raised = [type(event) for event in events_of(place, in_call(ValueError("no")))]
    assert raised == [Loaded, Lost]
    died = events_of(place, ActorUnavailableError("gone", b"0" * 16))
    assert [type(event) for event in died] == [Lost]


def test_the_reason_is_one_line():
    assert reason_of(in_call(ValueError("this\nbreaks"))) == "ValueError: this breaks"
    assert reason_of(died("its node has died\n")) == "its node has died"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


WORLDS: list[RayWorld] = []


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clock]:
    clock = Clock()
    monkeypatch.setattr(ray_world, "time", clock)
    monkeypatch.setattr(ray_world, "live_nodes", lambda cluster: ())
    yield clock
    while WORLDS:
        WORLDS.pop().view.close()


def a_world(**cluster) -> RayWorld:
    WORLDS.append(RayWorld(Store("nowhere"), a_cluster(**cluster), Lengths(64)))
    return WORLDS[-1]


def test_for_room_it_waits_some_time_from_the_loss_of_the_last_place(clock: Clock):
    schedule = a_schedule(a_job("toy", 9))
    (place,) = started(decide(schedule))
    world = a_world()
    clock.now += 10 * PATIENCE_S  # of work
    world.stop(place)
    schedule.lost(place, "node", "gone", world.now())
    assert world.goes_on(schedule)
    clock.now += PATIENCE_S
    assert not world.goes_on(schedule)


def test_for_nodes_of_an_autoscaler_it_waits_as_long_as_it_takes(clock: Clock):
    world = a_world(autoscaling=True)
    clock.now += 100 * PATIENCE_S
    assert world.goes_on(a_schedule())


class RefusingAll:
    """A preflight that no node passes."""

    def __init__(self) -> None:
        self.refused: dict[str, str] = {}

    def admitted(self, nodes: tuple[Node, ...]) -> tuple[Node, ...]:
        self.refused |= {node.node_id: "an old driver" for node in nodes}
        return ()


def test_where_an_autoscaler_brings_only_nodes_that_are_refused_it_ends(clock: Clock, monkeypatch):
    world = a_world(autoscaling=True)
    world.preflight = cast(Preflight, RefusingAll())
    joined: list[Node] = []
    monkeypatch.setattr(world.view, "nodes", lambda: tuple(joined))
    clock.now += 100 * PATIENCE_S
    assert world.nodes() == () and world.goes_on(a_schedule())  # none has come yet
    joined.append(Node("a", 1.0, 1))
    assert world.nodes() == () and world.goes_on(a_schedule())  # others may come with it
    clock.now += PATIENCE_S
    assert not world.goes_on(a_schedule())


def test_a_lost_place_is_not_asked_for_its_capacity(clock: Clock):
    schedule = a_schedule()
    (place,) = started(decide(schedule))
    world = a_world()
    world.asked.add(place.number)
    world.actors[place.number] = None
    world.stop(place)
    assert world.asked == set() and world.actors == {}


def test_demand_is_announced_when_it_changes_and_taken_back_at_the_end(clock: Clock, monkeypatch):
    announced: list[list] = []
    monkeypatch.setattr(ray_world, "announce", lambda needs: announced.append(list(needs)))
    slow = an_option(load_s=1e6)
    schedule = a_schedule(a_job("toy", 9, [slow]))
    world = a_world(autoscaling=True)
    for _ in range(3):
        clock.now += ray_world.ANNOUNCE_EVERY_S
        world.ask_for_nodes(schedule)
    assert announced == [[slow.need]]
    world.close()
    assert announced == [[slow.need], []]


def test_after_sigterm_running_shards_have_the_grace_but_for_the_time_kept_for_ending_ray():
    schedule, since_s = a_schedule(), [0.0]
    drain = Drain(lambda: since_s[0], grace_s=30.0)
    for since_s[0] in (0.0, 30.0 - ENDING_S):
        drain(schedule)
        assert schedule.draining
    since_s[0] = 30.0 - ENDING_S + 0.1
    with pytest.raises(Terminated):
        drain(schedule)


def test_before_sigterm_nothing_is_drained():
    schedule, drain = a_schedule(), Drain(lambda: None, grace_s=30.0)
    drain(schedule)
    drain.check()
    assert not schedule.draining


def test_there_is_no_estimate_of_the_time_left_before_the_first_shard_is_finished():
    schedule = a_schedule(a_job("toy", 9, [an_option(load_s=1e6)]))
    (place,) = started(decide(schedule))
    for _ in range(2):
        assert snapshot_of(schedule, wall_s=1.0).seconds_left is None
    finish(schedule, place)
    left = snapshot_of(schedule, wall_s=1.0).seconds_left
    assert left is not None and left > 0


def test_a_snapshot_counts_what_runs_what_waits_and_what_is_done():
    schedule = a_schedule(a_job("toy", 9, [an_option(rows=8, load_s=1e6)]))
    place: Place = started(decide(schedule))[0]
    finish(schedule, place, tokens=80)
    (engine,) = snapshot_of(schedule, wall_s=2.0).engines
    counted = SimpleNamespace(**vars(engine))
    assert (counted.shards_done, counted.shards_running, counted.shards_waiting) == (1, 1, 7)
    assert (counted.samples, counted.tokens, counted.tokens_left) == (8, 80, 640)


def test_an_engine_that_waits_for_its_server_to_be_loaded_is_said_to(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(ray_world, "MOMENT_S", 0.0)
    world, job = a_world(), a_job("toy", 9)
    world.servers = Servers(Server("http://gpus/v1", None, "KEY", 600.0))
    server_job = replace(job, engine=replace(job.engine, backend="server"))
    for one, said in (
        (job, ""),
        (
            server_job,
            f"raysweep: {job.engine.engine_id}: not loaded for 75 s; is the server http://gpus/v1 there?\n",
        ),
    ):
        (place,) = started(decide(a_schedule(one), now=clock.now))
        world.watchdog.begin(place)
        clock.now += LONG_LOAD_S - 1
        assert world.wait() == [] and capsys.readouterr().err == ""
        clock.now += 16
        assert world.wait() == []
        assert capsys.readouterr().err == said
        world.watchdog.end(place)


def test_what_an_engine_waits_for_is_said_and_is_no_event(capsys: pytest.CaptureFixture[str]):
    assert told("") is None and told("server http://gpus/v1: away; waiting for 9 of 600 s") is None
    said = "raysweep: server http://gpus/v1: away; waiting for 9 of 600 s\n"
    assert capsys.readouterr().err == said
