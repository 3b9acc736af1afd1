"""The server engine against a server that fails: every sample once, and the same as without failures."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from support.faulty_server import FaultyServer, Manners, a_server, at_random
from support.tiny_models import MODELS, architecture, decoding, requests, run, smallest, untimed

from actors import sample_requests
from actors.engine import Trace, TraceRequest
from actors.kv.full import Full
from actors.server_engine import client
from actors.server_engine.client import BadAnswer, ServerRefused, ServerUnavailable, seconds_of
from actors.server_engine.engine import ServerEngine
from actors.server_engine.window import Window
from raysweep import memory
from raysweep.benchmarks import chain as chain_questions
from raysweep.run_config import Server
from raysweep.spec import BF16, Checkpoint, EngineSpec, Family, ModelSpec, Sampling

QUESTIONS = list(chain_questions.questions(20, seed=1))
KEY = "sk-very-secret"
PROBES = 10  # requests at most, before the first sample's

MakeEngine = Callable[..., ServerEngine]


@pytest.fixture(autouse=True)
def _short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.002)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.02)


@pytest.fixture
def serve() -> Iterator[Callable[..., FaultyServer]]:
    """Starts servers, which are ended with the test."""
    servers: list[FaultyServer] = []

    def start(**changes: Any) -> FaultyServer:
        servers.append(a_server(smallest(), **changes))
        return servers[-1]

    yield start
    for server in servers:
        server.close()


@pytest.fixture
def make_engine() -> Iterator[MakeEngine]:
    engines: list[ServerEngine] = []

    def make(
        server: FaultyServer | str,
        sampling: Sampling = Sampling(1.0),  # noqa: B008 - it is frozen
        max_rows: int = 32,
        longest: int = 300,
        patience_s: float = 20.0,
        model: str | None = None,
    ) -> ServerEngine:
        address = server if isinstance(server, str) else server.address
        where = Server(address, model, "RAYSWEEP_SERVER_KEY", patience_s)
        engines.append(ServerEngine(a_spec(sampling), where, max_rows, longest))
        return engines[-1]

    yield make
    for engine in engines:
        engine.close()


def a_spec(sampling: Sampling) -> EngineSpec:
    folder = str(MODELS / smallest())
    model = ModelSpec(smallest(), Family("tiny", sampling), folder, "1", architecture(smallest()))
    return EngineSpec(model, BF16, Full(), "server", Checkpoint(folder, "1"))


def decoded(traces: dict[Any, Trace]) -> dict[Any, tuple]:
    return {key: untimed(trace) for key, trace in traces.items()}


def wanted(temperature: float = 1.0, samples: int = 1) -> dict[Any, TraceRequest]:
    return requests(QUESTIONS, decoding(temperature), samples)


def after_probes(faults: Iterable[str]) -> Iterable[str]:
    return chain(repeat("", PROBES), faults)


# Faults


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_server_that_fails_at_random_gives_each_sample_once_and_the_same(
    temperature: float, serve: Callable[..., FaultyServer], make_engine: MakeEngine
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
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    asked = wanted(samples=3)
    expected = run(make_engine(serve()), asked)
    server = serve()
    engine, found = make_engine(server, max_rows=4), {}
    for name, request in asked.items():
        engine.add(request, lambda trace, name=name: found.__setitem__(name, trace))
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
    serve: Callable[..., FaultyServer],
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


def test_work_of_a_server_that_stays_away_is_blameless():
    from raysweep.driver.ray_errors import KINDS_BY_NAME
    from raysweep.scheduling.loss_kinds import BLAMELESS

    assert KINDS_BY_NAME[ServerUnavailable.__name__] in BLAMELESS
    assert KINDS_BY_NAME[ServerRefused.__name__] == "load"
    assert BadAnswer.__name__ not in KINDS_BY_NAME  # its question may be the cause


def test_a_request_that_always_makes_the_server_fail_ends_as_an_error(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(serve(faults=after_probes(repeat("internal"))))
    with pytest.raises(BadAnswer, match="failed 10 times, last: status 500: an exception"):
        run(engine, wanted())


def test_a_request_that_takes_too_long_is_given_up_and_the_others_go_on(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
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
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
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
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
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


# How servers differ


def test_a_server_like_tensorrt_llm_is_asked_in_its_own_way_and_gives_the_same(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    other = Manners(
        ids="detokenize",
        no_top_k=(0,),
        forbids=frozenset({"return_token_ids"}),
        gives_stop=False,
        says_context=False,
    )
    engine = make_engine(serve(manners=other))
    assert (engine.found.dialect.way, engine.found.dialect.no_top_k) == ("no_text", 0)
    assert decoded(run(engine, wanted())) == decoded(run(make_engine(serve()), wanted()))


def test_a_server_like_sglang_draws_by_no_seed_and_its_samples_say_so(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(
        serve(manners=Manners(no_top_k=(-1,), ignores=frozenset({"seed"}))), Sampling(1.0, 0.9, 20)
    )
    traces = run(engine, wanted())
    assert {trace.reproducible for trace in traces.values()} == {"unseeded"}
    assert any("no sample can be repeated" in line for line in engine.warnings)


def test_a_server_without_token_ids_has_its_texts_tokenised_again_and_that_is_said(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(serve(manners=Manners(ids="")))
    assert engine.found.dialect.way == "text"
    assert any("tokenised again" in line for line in engine.warnings)
    for trace in run(engine, wanted()).values():
        full = [a for a in trace.answers if a.token_budget <= len(trace.token_ids) and a.forced]
        assert all(answer.thinking_tokens == answer.token_budget for answer in full)


def test_what_made_the_samples_is_said_and_what_is_not_checked(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(serve())
    traces = run(engine, wanted())
    assert {trace.reproducible for trace in traces.values()} == {"seeded"}
    (line,) = engine.warnings
    assert "answered by stub-1 as its model 'tiny'" in line and "not checked" in line
    assert "127.0.0.1" not in line


def test_bytes_are_those_of_the_memory_model_and_an_unknown_cache_is_not_counted(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(serve())
    for trace in run(engine, wanted()).values():
        assert trace.reused_tokens == trace.recomputed_tokens == 0
        for answer in trace.answers:
            tokens = trace.prompt_tokens + answer.thinking_tokens
            assert answer.kv_bytes == memory.kv_bytes(architecture(smallest()), Full(), tokens)
    assert engine.usage().rows == engine.usage().kv_bytes == 0


# What is refused when it is loaded


@pytest.mark.parametrize(
    ("manners", "said"),
    [
        (Manners(models=("a", "b")), "it serves a, b; say which by `model`"),
        (Manners(bos=1), "reads a prompt of 56 tokens as 57"),
        (Manners(ignores=frozenset({"stop_token_ids"})), "does not stop at `stop_token_ids`"),
        (Manners(ignores=frozenset({"top_k"})), "it ignores `top_k`"),
        (Manners(ignores=frozenset({"min_p"})), "it ignores `min_p`"),
        (Manners(forbids=frozenset({"min_p"})), "it ignores `min_p`"),
        (Manners(spelling=lambda text: text + "!"), "its tokenizer is not that of"),
        (Manners(key="other"), "status 401 with no key in RAYSWEEP_SERVER_KEY"),
    ],
)
def test_what_would_change_results_is_refused_in_one_line(
    manners: Manners, said: str, serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    with pytest.raises((ServerRefused, BadAnswer)) as raised:
        make_engine(serve(manners=manners), Sampling(1.0, 0.9, 20, 0.05))
    assert said in str(raised.value) and "\n" not in str(raised.value)


def test_a_model_that_is_not_served_is_refused_with_those_that_are(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    with pytest.raises(ServerRefused, match="it does not serve 'qwen'; it serves tiny"):
        make_engine(serve(), model="qwen")


@pytest.mark.parametrize(
    ("says_context", "said"),
    [
        (True, "its context has 100 tokens, and prompt, budget and answer take 1"),
        (False, "maximum context length is 100 tokens"),
    ],
)
def test_a_context_that_is_too_short_is_refused_before_anything_is_cut(
    says_context: bool, said: str, serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    engine = make_engine(serve(manners=Manners(context=100, says_context=says_context)))
    with pytest.raises(ServerRefused, match=said):
        run(engine, wanted())


def test_an_address_that_leads_elsewhere_is_refused_and_not_followed(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine
):
    with pytest.raises(ServerRefused, match="redirects elsewhere"):
        make_engine(serve().address.replace("/v1", "/elsewhere"))


def test_an_actor_with_a_key_sends_it_to_no_other_machine_in_the_open(
    make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", KEY)
    with pytest.raises(ServerRefused, match="http would send the key in RAYSWEEP_SERVER_KEY"):
        make_engine("http://gpus.example:8000/v1")


def test_the_key_goes_with_each_request_and_into_no_message(
    serve: Callable[..., FaultyServer], make_engine: MakeEngine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("RAYSWEEP_SERVER_KEY", KEY)
    server = serve(manners=Manners(key=KEY))
    engine = make_engine(server)
    run(engine, wanted())
    assert {one["Authorization"] for one in server.headers} == {f"Bearer {KEY}"}
    assert KEY not in repr((engine.found, engine.warnings, engine.client.server))
    for manners in (Manners(key="another"), Manners(models=(KEY,))):
        with pytest.raises(ServerRefused) as raised:
            make_engine(serve(manners=manners), model="qwen")
        assert KEY not in str(raised.value)
