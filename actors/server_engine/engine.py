"""The engine over an OpenAI-compatible server: traces and their answers are requests over HTTP.

    step:  send traces -> wait a moment for answers -> send the requests that follow from them

The server holds weights and cache, on GPUs that are none of the cluster's. Requests are made in a thread of
their own, so a step neither waits for long nor computes while it waits.
"""

import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial

from actors.checkpoint_files import tokenizer_folder
from actors.engine import Trace, TraceRequest, Usage
from actors.sample_requests import Request, SampleRequests, deadline_s
from actors.server_engine.background import Background
from actors.server_engine.client import Client
from actors.server_engine.dialect import Output, read_output
from actors.server_engine.failures import Overdue
from actors.server_engine.probing import Probe
from actors.tokenization import Texts
from actors.trace_assembly import Sample
from raysweep import memory
from raysweep.configuration.servers import in_the_open
from raysweep.run_config import Server
from raysweep.spec import EngineSpec

# Seconds that a step waits for an answer.
MOMENT_S = 0.05


@dataclass(frozen=True)
class Running:
    """A request that the server has been sent, or that waits to be sent again."""

    requests: SampleRequests
    request: Request


class ServerEngine:
    """An `Engine` over a server that serves the spec's model.

    max_rows  the most requests under way at a time
    longest   tokens of the longest sequence; None means the model's context
    """

    continues = False

    def __init__(self, spec: EngineSpec, server: Server, max_rows: int, longest: int | None = None):
        context = longest or spec.model.architecture.context
        self.texts = Texts(tokenizer_folder(spec.checkpoint), context)
        self.live_bytes = partial(memory.kv_bytes, spec.model.architecture, spec.kv_policy)
        self.max_rows = max_rows
        self.waiting: deque[SampleRequests] = deque()
        self.running: dict[int, Running] = {}
        self._names = itertools.count()
        self._background: Background[int] = Background()
        key = os.environ.get(server.key_env, "").strip()
        self.client = self._background.call(lambda: Client(server, key, max_rows))
        try:
            if key and in_the_open(server.address):  # The driver's environment may have had no key.
                raise self.client.refused(
                    f"http would send the key in {server.key_env} in the open; use https"
                )
            probe = Probe(self.client, spec, self.texts)
            self.found = self._background.wait_for(probe.find())
        except BaseException:
            self.close()
            raise
        self.warnings = self.found.warnings

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if it does not fit into the model's or the server's context."""
        self.texts.check_room(request)
        tokens, most = self.texts.most_tokens(request), self.found.context
        if most is not None and tokens > most:
            raise self.client.refused(
                f"its context has {most} tokens, and prompt, budget and answer take {tokens}; start it with "
                "a longer one, or lower the largest token budget"
            )
        vocabulary = self.texts.vocabulary(request.decoding)
        prompt = self.texts.encode_prompt(request)
        sample = Sample(request, vocabulary, len(prompt), done, self.found.reproducible)
        self.waiting.append(SampleRequests(sample, prompt, self.live_bytes))

    def step(self) -> None:
        """Send what the server has room for, and take in what it has answered within a moment.

        Raises ServerUnavailable if the server was away for too long.
        """
        while self.waiting and len(self.running) < self._room:
            starting = self.waiting.popleft()
            starting.sample.started_s = time.perf_counter()
            self._submit(starting, starting.first())
        for name, answer in self._background.ended(MOMENT_S if self.running else 0):
            self._receive(self.running.pop(name), answer)

    @property
    def trouble(self) -> str:
        """That the server is away, in one line; "" while it answers."""
        return self.client.trouble

    def usage(self) -> Usage:
        """Bytes by the memory model, of the prompts alone: a server does not say how far its answers are."""
        tokens = [len(one.request.prompt) for one in self.running.values()]
        modelled = sum(map(self.live_bytes, tokens))
        return Usage(len(tokens), modelled, modelled)

    def close(self) -> None:
        """Cancel all requests, and end the connections and the thread."""
        self._background.wait_for(self.client.close())
        self._background.close()

    @property
    def _room(self) -> int:
        """Traces are sent only as far as the window goes, so the answers of a finished one come before."""
        return min(self.max_rows, max(1, int(self.client.window.size)))

    def _submit(self, requests: SampleRequests, request: Request) -> None:
        name = next(self._names)
        self.running[name] = Running(requests, request)
        dialect, sampling = self.found.dialect, requests.sample.request.decoding.sampling
        body = dialect.body(self.found.model, sampling, request)
        read = partial(read_output, request=request, texts=self.texts, way=dialect.way)
        self._background.start(name, self.client.complete(body, read, deadline_s(request)))

    def _receive(self, running: Running, answer: "Future[Output]") -> None:
        """Take in an answer, and send the requests that follow from it at once."""
        try:
            output = answer.result()
        except Overdue:
            running.requests.give_up(running.request)
            return
        for request in running.requests.take(running.request, output.tokens, output.cached):
            self._submit(running.requests, request)
