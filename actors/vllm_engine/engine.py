"""The vLLM engine: traces and the answers to them as requests to one `LLMEngine` in this process.

    step:  submit traces -> vLLM decodes a token a row -> submit the answers of traces that are done

Samples wait here, not in vLLM: the answers of a finished trace go in before the next trace, while its
blocks are cached. vLLM runs in the actor's process, so that the actor's death frees all it holds.
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
from actors.tokenization import Texts
from actors.vllm_engine import checks
from actors.vllm_engine.loading import Room, load
from actors.vllm_engine.sample import Request, Sample
from raysweep import memory
from raysweep.spec import EngineSpec

# A request may take this long, and longer by what its tokens may: far beyond any that makes progress.
DEADLINE_S, DEADLINE_S_PER_TOKEN = 300.0, 2.0


@dataclass(frozen=True)
class Running:
    """A request that vLLM is at."""

    sample: Sample
    job: Request
    deadline: float


class VllmEngine:
    """An `Engine` over the checkpoint of a spec.

    dtype  in which vLLM computes; `auto` is the checkpoint's
    """

    def __init__(self, spec: EngineSpec, room: Room, dtype: str = "auto"):
        loaded = load(spec, room, dtype)
        self.llm: Any = loaded.llm
        self.warnings = loaded.warnings
        self.reproducible = loaded.reproducible
        self.texts = Texts(loaded.path, room.longest or spec.model.architecture.context)
        self.live_bytes = partial(memory.kv_bytes, spec.model.architecture, spec.kv_policy)
        self.max_rows = room.max_rows
        self.ranks = room.ranks
        self.waiting: deque[Sample] = deque()
        self.running: dict[str, Running] = {}
        self._names = map(str, itertools.count())
        self._next_check = time.monotonic()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if the context has no room for it."""
        self.texts.check_room(request)
        vocabulary = self.texts.vocabulary(request.decoding)
        prompt = self.texts.encode_prompt(request)
        sample = Sample(request, vocabulary, prompt, self.live_bytes, self.reproducible, done)
        self.waiting.append(sample)

    def step(self) -> None:
        while self.waiting and len(self.running) < self.max_rows:
            sample = self.waiting.popleft()
            sample.started_s = time.perf_counter()
            self._submit(sample, sample.first())
        for output in self.llm.step():
            if output.finished:
                self._receive(output)
        self._give_up_overdue()

    def usage(self) -> Usage:
        """Bytes of the blocks in use, as vLLM lays them out and as the memory model has as many tokens."""
        tokens = checks.cached_tokens(self.llm)
        measured = tokens * checks.kv_bytes_per_token(self.llm) * self.ranks
        return Usage(len(self.running), round(measured), self.live_bytes(round(tokens)))

    def close(self) -> None:
        """End vLLM, and give back what it holds."""
        self.llm.engine_core.shutdown()
        del self.llm

    def _submit(self, sample: Sample, job: Request) -> None:
        name = next(self._names)
        deadline = time.monotonic() + DEADLINE_S + DEADLINE_S_PER_TOKEN * job.max_tokens
        self.running[name] = Running(sample, job, deadline)
        prompt = {"prompt_token_ids": list(job.prompt)}
        self.llm.add_request(name, prompt, sampling_params(sample.request, job))

    def _receive(self, output: Any) -> None:
        """Take in a finished request; the answers that it leads to go in at once."""
        running = self.running.pop(output.request_id)
        sample, tokens = running.sample, list(output.outputs[0].token_ids)
        for job in sample.take(running.job, tokens, output.num_cached_tokens or 0):
            self._submit(sample, job)

    def _give_up_overdue(self) -> None:
        """Once a second: abort what has passed its deadline."""
        now = time.monotonic()
        if now < self._next_check:
            return
        self._next_check = now + 1
        overdue = [name for name, running in self.running.items() if running.deadline < now]
        self.llm.abort_request(overdue)
        for running in map(self.running.pop, overdue):
            running.sample.give_up(running.job)


def sampling_params(request: TraceRequest, job: Request) -> SamplingParams:
    """vLLM's words for a job. Its own notion of a text's end is set aside: ours is the tokenizer's."""
    sampling = request.decoding.sampling
    return SamplingParams(
        temperature=sampling.temperature,
        top_p=sampling.top_p,
        top_k=sampling.top_k,
        min_p=sampling.min_p,
        seed=job.seed,
        max_tokens=job.max_tokens,
        stop_token_ids=sorted(job.stop),
        ignore_eos=True,
        detokenize=False,
        output_kind=RequestOutputKind.FINAL_ONLY,
    )
