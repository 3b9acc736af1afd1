"""Both engines with a script in the place of the model's choices.

What runs are the real torch engine's rows and forks, and the requests that are made of vLLM.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from support import tiny_models

from actors.engine import Trace, TraceRequest
from actors.sample_requests import Request, SampleRequests
from actors.tokenization import Texts
from actors.torch_engine import engine
from actors.torch_engine.batch import Batch, Drawn
from actors.torch_engine.engine import TorchEngine
from actors.trace_assembly import Sample
from raysweep.spec import Decoding

# (tokens seen since the prompt, answering) -> the model's choice
Script = Callable[[int, bool], int]


def by_torch(
    ours: TorchEngine, way: Decoding, choose: Script, monkeypatch: pytest.MonkeyPatch
) -> Trace:
    """The real engine's rows and forks, where the script draws the tokens."""
    request = TraceRequest(tiny_models.rendered("1+1?"), 5, way)
    prompt = len(ours.texts.encode_prompt(request))

    decode = ours.decode

    def first(logits: torch.Tensor, *_: Any) -> torch.Tensor:
        return torch.tensor([choose(0, False)] * len(logits))

    def scripted(batch: Batch, before: Drawn | None) -> Drawn:
        decode(batch, before)
        drawn = [
            choose(one.seen + len(one.feed) - prompt, one.answer is not None)
            for one in ours.running
        ]
        return Drawn(torch.tensor(drawn), lambda: drawn)

    with monkeypatch.context() as patch:
        patch.setattr(engine, "draw_each", first)
        patch.setattr(ours, "decode", scripted)
        return tiny_models.run(ours, {0: request})[0]


def by_vllm(texts: Texts, way: Decoding, choose: Script, begun: Trace | None = None) -> Trace:
    """The requests answered as vLLM does: token by token, up to a token or text to stop at or the limit.

    begun  a trace that is continued
    """
    done: list[Trace] = []
    request = TraceRequest(tiny_models.rendered("1+1?"), 5, way)
    prompt = texts.encode_prompt(request)
    sample = Sample(request, texts.vocabulary(way), len(prompt), done.append)
    requests = SampleRequests(sample, prompt, lambda n: n)
    if begun is not None:
        requests.go_on(begun)
    pending = [requests.first()]
    while pending:
        asked = pending.pop(0)
        said: list[int] = []
        while len(said) < asked.max_tokens and not stops(asked, said, texts):
            seen = len(asked.prompt) + len(said) - len(prompt)
            said.append(choose(seen, asked.purpose != "think"))
        pending += requests.take(asked, said, 0)
    return done[0]


def stops(asked: Request, said: list[int], texts: Texts) -> bool:
    text = texts.tokenizer.decode(said, skip_special_tokens=False)
    in_text = bool(asked.stop_text) and asked.stop_text in text
    return in_text or (bool(said) and said[-1] in asked.stop)


def described(trace: Trace) -> tuple:
    """What both engines must agree on."""
    answers = [replace(answer, kv_bytes=0) for answer in trace.answers]
    return trace.token_ids, trace.finish, trace.waits, answers
