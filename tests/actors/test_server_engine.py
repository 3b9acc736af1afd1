"""The server engine against a server that fails: every sample once, and the same as without failures."""

import asyncio
import time
from itertools import repeat

import pytest
from support.faulty_server import Front, at_random
from support.server_engines import (
    MakeEngine,
    Serve,
    after_probes,
    decoded,
    make_engine,
    serve,
    short_pauses,
    wanted,
)
from support.tiny_models import queued, run

from actors import sample_requests
from actors.server_engine import client
from actors.server_engine.client import seconds_of
from actors.server_engine.failures import BadAnswer, ServerRefused, ServerUnavailable
from actors.server_engine.window import Window

__all__ = ["make_engine", "serve", "short_pauses"]  # fixtures

# Faults


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_server_that_fails_at_random_gives_each_sample_once_and_the_same(
    temperature: float, serve: Serve, make_engine: MakeEngine
):
    asked = wanted(temperature, samples=2)
    expected = run(make_engine(serve()), asked)
    faulty = serve(faults=after_probes(at_random(0.4, seed=3)))
    found = run(make_engine(faulty), asked)
    assert decoded(found) == decoded(expected)
    assert len(faulty.failed) == 10 and sum(faulty.failed.values()) > 50
    by_sample = [count for (_, seed), count in faulty.seen.items() if seed not in (1, 2)]
    assert len(by_sample) > len(asked) and set(by_sample) == {1}


def test_a_server_that_is_ended_and_started_again_loses_nothing(
    serve: Serve, make_engine: MakeEngine
):
    asked = wanted(samples=3)
    expected = run(make_engine(serve()), asked)
    server = serve()
    engine = make_engine(server, max_rows=4)
    found = queued(engine, asked)
    for share in (0.2, 0.5, 0.8):
        while len(found) < share * len(asked):
            engine.step()
        server.stop()
        for _ in range(3):
            engine.step()
        assert engine.running
        server.start()
    while len(found) < len(asked):
        engine.step()
    assert engine.trouble == ""
    assert decoded(found) == decoded(expected)


def test_a_server_that_stays_away_is_said_to_be_so_once_patience_ends(
    serve: Serve,
    make_engine: MakeEngine,
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setattr(client, "SAY_AFTER_S", 0.0)
    server = serve()
    engine = make_engine(server, patience_s=0.3)
    assert engine.trouble == ""
    server.stop()
    with pytest.raises(ServerUnavailable, match=r"it cannot be connected to\); start it again"):
        run(engine, wanted())
    assert "it cannot be connected to; waiting for 0 of 0 s" in engine.trouble


@pytest.mark.parametrize("front", ["closes", "late"])
def test_a_server_behind_a_tunnel_or_a_gateway_may_be_started_again(
    front: Front, serve: Serve, make_engine: MakeEngine
):
    asked = wanted(samples=2)
    expected = run(make_engine(serve()), asked)
    server = serve()
    engine = make_engine(server, max_rows=4)
    found = queued(engine, asked)
    while len(found) < len(asked) / 2:
        engine.step()
    server.stop(front)
    while server.taken < 3 * client.MOST_TRIES * engine.max_rows:
        engine.step()
    server.start()
    while len(found) < len(asked):
        engine.step()
    assert decoded(found) == decoded(expected)


def test_a_server_that_takes_requests_and_answers_none_is_away_once_patience_ends(
    serve: Serve, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(client, "SHORT_S", 0.1)
    server = serve()
    engine = make_engine(server, patience_s=0.3)
    server.stop("silent")
    with pytest.raises(ServerUnavailable, match="it takes requests and answers none"):
        run(engine, wanted())


def test_a_server_that_answers_no_request_for_long_and_lists_its_models_is_said_to_be_slow(
    serve: Serve, make_engine: MakeEngine
):
    server = serve()
    engine, found = make_engine(server, patience_s=0.2), {}
    server.pause_s = 2.0
    for name, request in wanted().items():
        engine.add(request, lambda trace, name=name: found.__setitem__(name, trace))
    while not engine.trouble:
        engine.step()
    assert "requests for 0 minutes, though it lists its models; it is slow" in engine.trouble
    server.pause_s = 0.0
    while len(found) < len(wanted()):
        engine.step()
    assert engine.trouble == ""


def test_work_of_a_server_that_stays_away_is_blameless():
    from raysweep.driver.ray_errors import KINDS_BY_NAME
    from raysweep.scheduling.loss_kinds import BLAMELESS

    assert KINDS_BY_NAME[ServerUnavailable.__name__] == "server"
    assert "server" in BLAMELESS
    assert KINDS_BY_NAME[ServerRefused.__name__] == "load"
    assert BadAnswer.__name__ not in KINDS_BY_NAME  # its question may be the cause


def test_a_request_that_always_makes_the_server_fail_ends_as_an_error(
    serve: Serve, make_engine: MakeEngine
):
    engine = make_engine(serve(faults=after_probes(repeat("internal"))))
    with pytest.raises(BadAnswer, match="failed 10 times, last: status 500: an exception"):
        run(engine, wanted())


def test_a_request_that_takes_too_long_is_given_up_and_the_others_go_on(
    serve: Serve, make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sample_requests, "DEADLINE_S", 2.0)
    monkeypatch.setattr(sample_requests, "DEADLINE_S_PER_TOKEN", 0.0)
    server = serve(slow_s=60.0)
    engine = make_engine(server)
    server.faults = iter(["slow"])
    traces = run(engine, wanted())
    assert [trace.finish for trace in traces.values()].count("deadline") <= 1
    assert sum(any(a.given_up for a in trace.answers) for trace in traces.values()) == 1


# How many at a time


def test_a_server_that_takes_few_requests_at_a_time_is_sent_hardly_more(
    serve: Serve, make_engine: MakeEngine
):
    asked = wanted(samples=4)
    server = serve(most_at_a_time=5)
    engine = make_engine(server, max_rows=64)
    assert decoded(run(engine, asked)) == decoded(run(make_engine(serve(), max_rows=64), asked))
    assert engine.client.window.size < 16


def test_a_window_doubles_per_round_until_it_is_refused_and_then_grows_by_one():
    window = Window(64, first=4)
    for _ in range(4):
        window.answered()
    assert window.size == 8
    window.refused()
    assert window.size == 4
    for _ in range(4):
        window.answered()
    assert 4.8 < window.size <= 5


def test_an_outage_costs_a_window_one_half_and_it_never_closes():
    window = Window(64, first=64)
    for _ in range(100):
        window.refused()
    assert window.size == 32
    for _ in range(100):
        window.answered()
        window.refused()
    assert window.size == 1


def test_a_window_lets_no_more_in_than_its_size():
    async def crowd() -> int:
        window, most = Window(3, first=3), 0

        async def one() -> None:
            nonlocal most
            async with window:
                most = max(most, window.under_way)
                await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(20)))
        return most

    assert asyncio.run(crowd()) == 3


def test_the_time_that_a_server_asks_to_wait_is_read_as_seconds_or_a_date():
    assert seconds_of("1.5") == 1.5
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert seconds_of("Wed, 21 Oct 2111 07:28:00 GMT") > 1e8
    assert seconds_of("soon") == seconds_of("") == 0


def test_a_step_without_an_answer_waits_a_moment_and_burns_no_core(
    serve: Serve, make_engine: MakeEngine
):
    server = serve()
    engine = make_engine(server)
    server.stop()
    engine.add(next(iter(wanted().values())), lambda trace: None)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    for _ in range(10):
        engine.step()
    wall_s = time.perf_counter() - wall_s
    assert wall_s > 0.4 and time.process_time() - cpu_s < wall_s / 2
