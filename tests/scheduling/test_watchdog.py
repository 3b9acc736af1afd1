"""Which actors hang, under a clock of the test's own."""

from dataclasses import replace

import pytest
from support.scheduling_cases import a_shard, an_option

from raysweep.planning.measured import Learnt
from raysweep.planning.placements import Need
from raysweep.scheduling.nodes import Spot
from raysweep.scheduling.places import Place
from raysweep.scheduling.queues import EngineQueue, Task
from raysweep.scheduling.watchdog import LOADING, Watchdog

HANG_S = 40.0


class Watched:
    """A watchdog that looks every ten seconds, and a place that answers or does not."""

    def __init__(self, loaded: bool = True):
        self.dog, self.place, self.now = Watchdog(HANG_S), a_place(loaded), 0.0
        self.dog.begin(self.place)
        self.asked = 0
        self.look()

    def look(self) -> str:
        """Why the place hangs; "" if it does not."""
        to_ask, hung = self.dog.look(self.now)
        self.asked += len(to_ask)
        return hung[0][1] if hung else ""

    def after(self, seconds: float, answers: tuple[int, int] | None = None) -> str:
        for _ in range(round(seconds / 10)):
            self.now += 10
            if answers:
                self.dog.heard(self.place, answers)
            if why := self.look():
                return why
        return ""


def a_place(loaded: bool) -> Place:
    option, shard = an_option(), a_shard()
    queue = EngineQueue(shard.engine, (option,), Learnt())
    place = Place(1, queue, option, Spot("node", option.need), 1, 0.0, loaded=loaded)
    place.in_flight[Task(shard)] = None
    return place


def test_an_engine_with_work_that_takes_no_step_hangs():
    watched = Watched()
    assert watched.after(HANG_S - 10, answers=(7, 1)) == ""
    assert watched.after(HANG_S, answers=(7, 1)) == "its engine took no step within 0.667 min"


def test_an_actor_that_answers_nothing_hangs_and_is_asked_only_once():
    watched = Watched()
    assert "took no step" in watched.after(60)
    assert watched.asked == 1


def test_an_engine_that_steps_does_not_hang_however_long_its_shard():
    watched = Watched()
    assert not any(watched.after(10, answers=(step, 1)) for step in range(100))


def test_shards_that_are_written_slowly_are_no_hang():
    assert Watched().after(1000, answers=(7, 0)) == ""


def test_a_place_without_work_does_not_hang():
    watched = Watched()
    watched.place.in_flight.clear()
    assert watched.after(1000) == ""


def test_loading_may_take_longer_and_its_silence_does_not_count_after_it():
    watched = Watched(loaded=False)
    assert watched.after(LOADING * HANG_S - 10) == ""
    watched.place.loaded = True
    assert watched.after(HANG_S) == ""
    assert "took no step" in watched.after(20)


def sharing(*devices: int) -> list[Place]:
    """Places that load on shares of these GPUs of a node."""
    need = Need(1.0, 0.1)
    spots = [Spot("node", need, (device,)) for device in devices]
    return [replace(a_place(False), number=n, spot=spot) for n, spot in enumerate(spots)]


def hung_after(dog: Watchdog, start_s: float, seconds: float) -> list[int]:
    """Numbers of the places that hang at some look in that time."""
    found: set[int] = set()
    for step in range(round(seconds / 10) + 1):
        found |= {place.number for place, _ in dog.look(start_s + 10 * step)[1]}
    return sorted(found)


@pytest.mark.parametrize("ends_by", ["loading", "its loss"])
def test_a_place_that_waits_for_its_turn_on_a_gpu_does_not_hang(ends_by: str):
    first, second, elsewhere = places = sharing(0, 0, 1)
    dog, limit_s = Watchdog(HANG_S), LOADING * HANG_S
    for place in places:
        dog.begin(place)
    assert hung_after(dog, 0.0, limit_s - 10) == []
    if ends_by == "loading":
        first.loaded = True
        first.in_flight.clear()
    else:
        dog.end(first)
    assert hung_after(dog, limit_s, limit_s - 20) == [elsewhere.number]
    assert hung_after(dog, 2 * limit_s, 20) == [second.number, elsewhere.number]


def test_an_engine_that_never_loads_hangs():
    watched = Watched(loaded=False)
    assert "was not loaded within 2.67 min" in watched.after(LOADING * HANG_S)


@pytest.mark.parametrize("jump_s", [1e6, 3600.0])
def test_a_driver_that_was_stopped_itself_takes_no_actor_for_hung(jump_s: float):
    watched = Watched()
    watched.now += jump_s
    assert watched.look() == ""
    assert watched.after(10, answers=(8, 1)) == ""
