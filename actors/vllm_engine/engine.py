"""The vLLM engine: traces and their answers are requests to one `LLMEngine` in this process.

    step:  submit traces -> vLLM decodes one token per row -> submit the answers of finished traces

Samples wait here, not in vLLM: the answers of a finished trace are submitted before the next trace, while
its blocks are cached. vLLM runs in the actor's process, so all its memory is freed when the actor ends.

More rows decode than fit if all are at their longest. When the cache is full, vLLM frees the blocks of the
youngest sample that is thinking, and computes it again later. Answers go first, for they would lose the
blocks of their trace. What is computed again may be rounded differently, as in another batch, so a sample
stays as reproducible as it is.
"""

import itertools
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from vllm import SamplingParams
from vllm.sampling_params import RequestOutputKind

from actors.engine import Trace, TraceRequest, Usage
from actors.sample_requests import THINK, Request, SampleRequests, deadline_s
from actors.tokenization import Texts
from actors.trace_assembly import Sample
from actors.vllm_engine import checks
from actors.vllm_engine.loading import Limits, load
from raysweep import memory
from raysweep.spec import EngineSpec, Sampling


@dataclass(frozen=True)
class Running:
    """A request that vLLM is decoding."""

    requests: SampleRequests
    request: Request
    deadline: float


class VllmEngine:
    """An `Engine` over the checkpoint of a spec.

    dtype  in which vLLM computes; `auto` is the checkpoint's

    A trace that was begun is continued: all its tokens are computed at once, which by the cost model never
    takes longer than to decode them again (`raysweep.planning.speed.prefill_s`).
    """

    continues = True

    def __init__(self, spec: EngineSpec, limits: Limits, dtype: str = "auto"):
        loaded = load(spec, limits, dtype)
        self.llm: Any = loaded.llm
        self.warnings = loaded.warnings
        self.reproducible = loaded.reproducible
        self.texts = Texts(loaded.path, limits.longest or spec.model.architecture.context)
        self.live_bytes = partial(memory.kv_bytes, spec.model.architecture, spec.kv_policy)
        self.max_rows = limits.max_rows
        self.ranks = limits.ranks
        self.waiting: deque[SampleRequests] = deque()
        self.running: dict[str, Running] = {}
        self._names = map(str, itertools.count())
        self._next_check = time.monotonic()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if it does not fit into the context."""
        self.texts.check_room(request)
        vocabulary = self.texts.vocabulary(request.decoding)
        prompt = self.texts.encode_prompt(request)
        sample = Sample(request, vocabulary, len(prompt), done, self.reproducible)
        requests = SampleRequests(sample, prompt, self.live_bytes)
        if request.begun is not None:
            requests.go_on(request.begun)
        self.waiting.append(requests)

    def step(self) -> None:
        while self.waiting and len(self.running) < self.max_rows:
            starting = self.waiting.popleft()
            starting.sample.started_s = time.perf_counter()
            self._submit(starting, starting.first())
        for output in self.llm.step():
            if output.finished:
                self._receive(output)
        self._give_up_overdue()

    def usage(self) -> Usage:
        """Bytes of the blocks in use: as vLLM lays them out, and by the memory model for as many tokens."""
        tokens = checks.cached_tokens(self.llm)
        measured = tokens * checks.kv_bytes_per_token(self.llm) * self.ranks
        return Usage(len(self.running), round(measured), self.live_bytes(round(tokens)))

    def close(self) -> None:
        """End vLLM and free what it holds."""
        self.llm.engine_core.shutdown()
        del self.llm

    def _submit(self, requests: SampleRequests, request: Request) -> None:
        name = next(self._names)
        self.running[name] = Running(requests, request, time.monotonic() + deadline_s(request))
        prompt = {"prompt_token_ids": list(request.prompt)}
        sampling = requests.sample.request.decoding.sampling
        self.llm.add_request(
            name,
            prompt,
            sampling_params(sampling, request),
            arrival_time=requests.sample.started_s,
            priority=int(request.purpose == THINK),  # the lowest comes first
        )

    def _receive(self, output: Any) -> None:
        """Take in a finished request, and submit the requests that follow from it at once."""
        running = self.running.pop(output.request_id)
        requests, tokens = running.requests, list(output.outputs[0].token_ids)
        for request in requests.take(running.request, tokens, output.num_cached_tokens or 0):
            self._submit(requests, request)

    def _give_up_overdue(self) -> None:
        """Once per second, abort the requests that have passed their deadline."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + 1
        overdue = [name for name, running in self.running.items() if running.deadline < now]
        self.llm.abort_request(overdue)
        for running in map(self.running.pop, overdue):
            running.requests.give_up(running.request)


def sampling_params(sampling: Sampling, request: Request) -> SamplingParams:
    """A request in vLLM's terms. vLLM's own end of text is ignored: `request.stop` has all end tokens.

    vLLM makes text only where it is to find one to stop at.
    """
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=request.seed,
        max_tokens=request.max_tokens,
        stop_token_ids=sorted(request.stop),
        ignore_eos=True,
        stop=[request.stop_text] if request.stop_text else None,
        detokenize=bool(request.stop_text),
        skip_special_tokens=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
