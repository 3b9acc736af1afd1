"""The torch engine: continuous batching with a fork at every token budget.

    step:  place forks -> admit traces -> decode one token a row -> take note

Rows are dense: the running sequences lie in rows 0..n-1, and the last one moves into a hole. Forks go
first, and traces leave a quarter of the rows to them, so a fork always finds a row in the end. Until it
does, its trunk is fed the same token again, which changes nothing.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from transformers import AutoTokenizer

from actors import kv
from actors.engine import Trace, TraceRequest
from actors.kv.pool import KVPool, PromptKV, round_up
from actors.torch_engine.model import ROW_BLOCK, Decoder
from actors.torch_engine.sampling import draw_tokens, uniforms
from actors.torch_engine.sequence import Sample, Sequence, Vocabulary
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture, Decoding, Sampling

KEPT_PROMPTS = 16  # prefilled prompts kept for further samples of their questions


@dataclass(frozen=True)
class Prefilled:
    tokens: int
    kv: PromptKV
    logits: torch.Tensor


class TorchEngine:
    """An `Engine` over a Hugging Face folder. `storage` is the type of weights and KV cache."""

    def __init__(
        self,
        path: str,
        architecture: Architecture,
        policy: KVPolicy,
        max_rows: int,
        storage: torch.dtype = torch.bfloat16,
    ):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.decoder = Decoder(path, storage, device)
        self.tokenizer: Any = AutoTokenizer.from_pretrained(path, trust_remote_code=False)
        self.context = architecture.context
        self.max_rows = round_up(max_rows, ROW_BLOCK)
        self.pool = KVPool(architecture, kv.implement(policy), self.max_rows, storage, device)
        self.waiting: deque[tuple[TraceRequest, Callable[[Trace], None]]] = deque()
        self.running: list[Sequence] = []
        self.forks: list[tuple[Sequence, Sequence]] = []  # (trunk, fork that waits for a row)
        self.prompts: OrderedDict[str, Prefilled] = OrderedDict()
        self.vocabularies: dict[Decoding, Vocabulary] = {}
        self._encoded = lru_cache(maxsize=256)(self._encode)

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if the context has no room for it."""
        tokens, context = self._most_tokens(request), self.context
        if tokens > context:
            raise ValueError(f"prompt, budget and answer take {tokens} of {context} tokens")
        self.waiting.append((request, done))

    def step(self) -> None:
        self._place_forks()
        self._admit_traces()
        if self.running:
            self._take_note(self._decode())
            self._close_gaps()

    def _place_forks(self) -> None:
        while self.forks and len(self.running) < self.max_rows:
            trunk, fork = self.forks.pop(0)
            self.pool.copy(self.running.index(trunk), len(self.running), fork.seen)
            self.running.append(fork)

    def _admit_traces(self) -> None:
        reserved = self.max_rows // 4
        traces = sum(sequence.budget is None for sequence in self.running)
        while self.waiting and not self.forks and len(self.running) < self.max_rows:
            if traces >= self.max_rows - reserved:
                return
            self._start(*self.waiting.popleft())
            traces += 1

    def _start(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Prefill a request's prompt into the next row and draw its first token."""
        vocabulary = self._vocabulary(request.decoding)
        prompt = self._prefilled(request)
        sample = Sample(request, vocabulary, prompt.tokens, done)
        sequence = Sequence(sample, seen=prompt.tokens, feed=[])
        self.pool.write_prompt(len(self.running), prompt.kv)
        first = self._draw(prompt.logits[None], [sequence])[0]
        sequence.feed.append(first)
        self.running.append(sequence)
        self._note_fork(sequence, sequence.accept(first, self.pool.row_bytes(sequence.seen)))

    def _prefilled(self, request: TraceRequest) -> Prefilled:
        """The prompt's keys, values and last logits; samples of one question share them."""
        if request.prompt not in self.prompts:
            tokens = self.encode_prompt(request)
            self.pool.reserve(self._most_tokens(request))
            self.prompts[request.prompt] = Prefilled(len(tokens), *self.decoder.prefill(tokens))
            if len(self.prompts) > KEPT_PROMPTS:
                self.prompts.popitem(last=False)
        return self.prompts[request.prompt]

    def _most_tokens(self, request: TraceRequest) -> int:
        """The tokens that a row of this request can come to see."""
        decoding = request.decoding
        closing = len(self._vocabulary(decoding).forced_closing)
        prompt = len(self.encode_prompt(request))
        return prompt + decoding.token_budgets[-1] + closing + decoding.answer_tokens

    def encode_prompt(self, request: TraceRequest) -> tuple[int, ...]:
        """The chat template's rendering of the question, with thinking opened."""
        return self._encoded(request.prompt, request.decoding.think_open)

    def _encode(self, prompt: str, think_open: str) -> tuple[int, ...]:
        messages = [{"role": "user", "content": prompt}]
        text = self.tokenizer.apply_chat_template(
            messages, tokenize=False, add_generation_prompt=True
        )
        if not text.endswith(think_open):
            text += think_open
        return tuple(self.tokenizer.encode(text, add_special_tokens=False))

    def _vocabulary(self, decoding: Decoding) -> Vocabulary:
        if decoding not in self.vocabularies:
            encode = self.tokenizer.encode
            closing = encode(decoding.forced_closing, add_special_tokens=False)
            close = encode(decoding.think_close, add_special_tokens=False)
            if len(close) != 1 or closing[0] != close[0]:
                raise ValueError(f"think_close {decoding.think_close!r} is not one token")
            end = frozenset({self.tokenizer.eos_token_id})
            self.vocabularies[decoding] = Vocabulary(
                close[0], end, tuple(closing), self.tokenizer.decode
            )
        return self.vocabularies[decoding]

    def _decode(self) -> list[int]:
        """Feed every running sequence its next token; the tokens that came out."""
        rows = min(round_up(len(self.running), ROW_BLOCK), self.max_rows)
        padding = [0] * (rows - len(self.running))
        tokens = torch.tensor([s.feed[0] for s in self.running] + padding)
        positions = torch.tensor([s.seen for s in self.running] + padding)
        device = self.decoder.device
        logits = self.decoder.decode(tokens.to(device), positions.to(device), self.pool)
        return self._draw(logits[: len(self.running)], self.running)

    def _draw(self, logits: torch.Tensor, sequences: list[Sequence]) -> list[int]:
        """Sample a token for each sequence, all in one go where they are sampled alike."""
        keys = np.array([s.key for s in sequences], dtype=np.uint64)
        draws = uniforms(keys, np.array([s.seen + len(s.feed) for s in sequences]))
        ways: dict[Sampling, list[int]] = {}
        for index, sequence in enumerate(sequences):
            ways.setdefault(sequence.sample.request.decoding.sampling, []).append(index)
        tokens = torch.empty(len(sequences), dtype=torch.long, device=logits.device)
        for sampling, rows in ways.items():
            tokens[rows] = draw_tokens(logits[rows], draws[rows], sampling)
        return tokens.tolist()

    def _take_note(self, sampled: list[int]) -> None:
        paused = {id(trunk) for trunk, _ in self.forks}
        for sequence, token in zip(list(self.running), sampled, strict=True):
            if id(sequence) not in paused:
                live_bytes = self.pool.row_bytes(sequence.seen + 1)
                self._note_fork(sequence, sequence.fed(token, live_bytes))

    def _note_fork(self, trunk: Sequence, fork: Sequence | None) -> None:
        if fork is not None:
            self.forks.append((trunk, fork))

    def _close_gaps(self) -> None:
        """Drop finished sequences; the last running one moves into each hole."""
        for row in reversed(range(len(self.running))):
            if self.running[row].finished:
                last = self.running.pop()
                if row < len(self.running):
                    self.pool.copy(len(self.running), row, last.seen)
                    self.running[row] = last
