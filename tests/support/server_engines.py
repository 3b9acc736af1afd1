"""Server engines and the servers that they ask, as fixtures for the tests of both."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain, repeat
from typing import Any

import pytest
from support.faulty_server import FaultyServer, a_server
from support.tiny_models import MODELS, architecture, decoding, requests, smallest, untimed

from actors.engine import Trace, TraceRequest
from actors.kv.full import Full
from actors.server_engine import client
from actors.server_engine.engine import ServerEngine
from raysweep.benchmarks import chain as chain_questions
from raysweep.run_config import Server
from raysweep.spec import BF16, Checkpoint, EngineSpec, Family, ModelSpec, Sampling

QUESTIONS = list(chain_questions.questions(20, seed=1))
PROBES = 10  # requests at most, before the first sample's

MakeEngine = Callable[..., ServerEngine]
Serve = Callable[..., FaultyServer]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "FIRST_PAUSE_S", 0.002)
    monkeypatch.setattr(client, "LONGEST_PAUSE_S", 0.02)


@pytest.fixture
def serve() -> Iterator[Serve]:
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
