"""Requests in flight: how their number grows and shrinks, and work side by side in bounded memory."""

import threading
import time
from contextlib import suppress

import pytest

from raysweep.storage import in_flight
from raysweep.storage.in_flight import Gate, side_by_side

THROTTLED = OSError("AWS Error SLOW_DOWN during GetObject operation")


def ask(gate: Gate, error: OSError | None = None) -> None:
    with suppress(OSError), gate.slot():
        if error:
            raise error


def test_a_gate_opens_with_each_success_up_to_the_most():
    gate = Gate(first=2, most=8)
    for _ in range(3):
        ask(gate)
    assert gate.width == 5
    for _ in range(100):
        ask(gate)
    assert gate.width == 8


def test_throttling_halves_it_and_then_it_grows_by_one_a_round():
    gate = Gate(first=8, most=64)
    ask(gate, THROTTLED)
    assert gate.width == 4
    for _ in range(4):
        ask(gate)
    assert 4.9 < gate.width < 5.1
    for _ in range(10):
        ask(gate, THROTTLED)
    assert gate.width == 1
    ask(gate)
    assert gate.width == 2


def test_what_is_no_throttling_changes_nothing():
    gate = Gate(first=8, most=64)
    ask(gate, FileNotFoundError("missing"))
    with pytest.raises(KeyError), gate.slot():
        raise KeyError
    assert gate.width == 8


def test_requests_that_were_in_flight_together_halve_it_once():
    gate, together = Gate(first=4, most=4), threading.Barrier(4)

    def fail() -> None:
        with suppress(OSError), gate.slot():
            together.wait(10)
            raise THROTTLED

    threads = [threading.Thread(target=fail) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gate.width == 2


def test_no_more_requests_are_in_flight_than_the_gate_is_wide():
    gate, inside, most = Gate(first=3, most=3), [0], [0]

    def act(_: int) -> None:
        with gate.slot():
            inside[0] += 1
            most[0] = max(most[0], inside[0])
            time.sleep(0.005)
            inside[0] -= 1

    list(side_by_side(act, range(30), 10))
    assert most[0] == 3


def test_results_come_in_the_order_of_the_items_however_long_each_takes():
    def slow_first(number: int) -> int:
        time.sleep(0.02 if number == 0 else 0.0)
        return number

    assert list(side_by_side(slow_first, range(20), 4)) == list(range(20))


def test_items_are_begun_only_shortly_before_their_results_are_taken():
    begun: list[int] = []
    results = side_by_side(begun.append, range(1000), 2)
    next(results)
    time.sleep(0.05)
    assert len(begun) <= 5
    results.close()
    assert len(begun) <= 5


def test_large_items_are_worked_on_one_at_a_time(monkeypatch):
    monkeypatch.setattr(in_flight, "MOST_BYTES", 100)
    inside, most = [0], [0]

    def act(size: int) -> int:
        inside[0] += 1
        most[0] = max(most[0], inside[0])
        time.sleep(0.005)
        inside[0] -= 1
        return size

    assert list(side_by_side(act, [60, 60, 500, 60], 8, lambda size: size)) == [60, 60, 500, 60]
    assert most[0] == 1


def test_an_error_comes_in_its_turn_and_the_rest_is_left():
    begun: list[int] = []

    def act(number: int) -> int:
        begun.append(number)
        if number == 3:
            raise ValueError("three")
        return number

    results = side_by_side(act, range(1000), 2)
    assert [next(results) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(ValueError, match="three"):
        next(results)
    assert len(begun) < 20
