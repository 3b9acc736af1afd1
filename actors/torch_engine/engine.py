"""The torch engine: continuous batching with a fork at every token budget.

    step:  admit traces -> decode one token per row -> take note -> close gaps

Rows are dense: the running sequences lie in rows 0..n-1, and the last one moves into a gap. At a token
budget a row answers, is rolled back, and continues thinking; so forks take no rows and copy no cache.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from actors.engine import Trace, TraceRequest, Usage
from actors.kv_cache import step
from actors.kv_cache.cache import KVCache
from actors.kv_cache.prompt import Settled, settled, start_like, start_row
from actors.kv_cache.rollback import restore, save
from actors.tokenization import Texts
from actors.torch_engine.budget_forcing import Fork, Sequence
from actors.torch_engine.model import Decoder
from actors.torch_engine.row_block import LARGEST_BLOCK, padded, row_block
from actors.torch_engine.sampling import draw_tokens, is_finite, uniforms
from actors.trace_assembly import Sample
from raysweep import memory
from raysweep.errors import shown
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture, Sampling

NOTHING = -1  # no token
KEPT_PROMPTS = 16  # prefilled prompts kept for further samples of their questions
ROWS_DEPEND = "on this CPU, rounding of a row's logits depends on the number of rows in the batch"


@dataclass(frozen=True)
class Prefilled:
    """A prompt as all samples of its question begin: its row, and the logits after its last token."""

    tokens: int
    row: Settled
    logits: torch.Tensor


class TorchEngine:
    """An `Engine` over a Hugging Face folder. For `storage` and `arithmetic`, see `Decoder`."""

    def __init__(
        self,
        path: str,
        architecture: Architecture,
        policy: KVPolicy,
        max_rows: int,
        storage: torch.dtype = torch.bfloat16,
        arithmetic: torch.dtype | None = None,
    ):
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.decoder = Decoder(path, storage, device, arithmetic)
        self.texts = Texts(path, architecture.context)
        # On a CPU whole blocks of rows are decoded, so the cache must have that many.
        on_cpu = device.type == "cpu"
        self.max_rows = padded(max_rows, LARGEST_BLOCK) if on_cpu else max_rows
        self.cache = KVCache(architecture, policy, self.max_rows, storage, device)
        self.row_block = row_block(self._equal_rows, self.max_rows) if on_cpu else 1
        self.warnings: tuple[str, ...] = () if self.row_block else (ROWS_DEPEND,)
        self.waiting: deque[tuple[TraceRequest, Callable[[Trace], None]]] = deque()
        self.running: list[Sequence] = []
        self.prompts: OrderedDict[tuple[int, ...], Prefilled] = OrderedDict()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if it does not fit into the context."""
        self.texts.check_room(request)
        self.waiting.append((request, done))

    def step(self) -> None:
        while self.waiting and len(self.running) < self.max_rows:
            self._start(*self.waiting.popleft())
        if self.running:
            self._take_note(self._decode())
            self._close_gaps()

    def usage(self) -> Usage:
        rows = range(len(self.running))
        modelled = partial(memory.kv_bytes, self.cache.architecture, self.cache.policy)
        return Usage(
            rows=len(rows),
            kv_bytes=sum(map(self.cache.row_bytes, rows)),
            modelled_kv_bytes=sum(modelled(self.cache.extents[row].seen) for row in rows),
        )

    def _start(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Put a request's prompt into the next row and draw its first token."""
        row = len(self.running)
        prompt = self._begin(request, row)
        vocabulary = self.texts.vocabulary(request.decoding)
        reproducible = "batch_invariant" if self.row_block else "seeded"
        sample = Sample(request, vocabulary, prompt.tokens, done, reproducible)
        sequence = Sequence(sample, seen=prompt.tokens, feed=[])
        first = self._draw(prompt.logits[None], [sequence])[0]
        sequence.accept(first, partial(self.cache.row_bytes, row))
        if not sequence.finished:  # a text may end with its first token
            self.running.append(sequence)

    def _begin(self, request: TraceRequest, row: int) -> Prefilled:
        """Begin a row with the request's prompt, which is computed and compacted once for all its samples."""
        self.cache.reserve(self.texts.most_tokens(request))
        tokens = self.encode_prompt(request)
        if tokens in self.prompts:
            start_like(self.cache, row, self.prompts[tokens].row)
            return self.prompts[tokens]
        policy = self.cache.policy
        looks_back = bool(policy.observed_queries or policy.scores_attention)
        kv, logits = self.decoder.prefill(tokens, keep_queries=looks_back)
        start_row(self.cache, row, kv)
        self.prompts[tokens] = Prefilled(len(tokens), settled(self.cache, row), logits)
        if len(self.prompts) > KEPT_PROMPTS:
            self.prompts.popitem(last=False)
        return self.prompts[tokens]

    def encode_prompt(self, request: TraceRequest) -> tuple[int, ...]:
        return self.texts.encode_prompt(request)

    def _decode(self) -> list[int]:
        """Feed every running sequence its next token; the tokens drawn from the logits."""
        rows = padded(len(self.running), self.row_block or 1)
        padding = [0] * (rows - len(self.running))
        tokens = torch.tensor([s.feed[0] for s in self.running] + padding)
        positions = torch.tensor([s.seen for s in self.running] + padding)
        device = self.decoder.device
        logits = self.decoder.decode(tokens.to(device), positions.to(device), self.cache)
        step.end(self.cache, range(len(self.running)))
        return self._draw(logits[: len(self.running)], self.running)

    def _equal_rows(self, rows: int) -> torch.Tensor:
        """Logits of the first `rows` rows after the same token; nothing in the cache counts before it."""
        self.cache.reserve(1)
        tokens = torch.full((rows,), self.cache.architecture.vocab_size // 2)
        return self.decoder.decode(tokens, torch.zeros_like(tokens), self.cache)

    def _draw(self, logits: torch.Tensor, sequences: list[Sequence]) -> list[int]:
        """Sample a token for each sequence, together for all that are sampled in the same way.

        Raises FloatingPointError for logits from which nothing can be drawn.
        """
        keys = np.array([s.key for s in sequences], dtype=np.uint64)
        draws = uniforms(keys, np.array([s.seen + len(s.feed) for s in sequences]))
        ways: dict[Sampling, list[int]] = {}
        for index, sequence in enumerate(sequences):
            ways.setdefault(sequence.sample.request.decoding.sampling, []).append(index)
        tokens = torch.empty(len(sequences), dtype=torch.long, device=logits.device)
        for sampling, rows in ways.items():
            tokens[rows] = draw_tokens(logits[rows], draws[rows], sampling)
        drawn = torch.where(is_finite(logits), tokens, NOTHING).tolist()
        if NOTHING in drawn:
            sequence = sequences[drawn.index(NOTHING)]
            raise FloatingPointError(
                f"the model's logits are not finite, {sequence.seen:,} tokens into a trace of "
                f"{shown(sequence.sample.request.prompt[-120:])}"
            )
        return drawn

    def _take_note(self, sampled: list[int]) -> None:
        """Take in a step's tokens; a row at a budget forks, and one that has answered resumes thinking."""
        for row, (sequence, token) in enumerate(zip(self.running, sampled, strict=True)):
            sequence.seen += 1
            sequence.feed.pop(0)
            if sequence.feed:
                continue
            live_bytes = partial(self.cache.row_bytes, row)
            if sequence.at_budget:
                fork = self._fork(row, sequence, token)
                sequence.close_by_force(live_bytes, sequence.thinking_tokens, fork)
                continue
            if sequence.in_loop:
                sequence.end_loop(live_bytes)
                continue
            sequence.accept(token, live_bytes)
            if sequence.finished and sequence.fork is not None:
                restore(self.cache, row, sequence.fork.saved)
                sequence.resume(live_bytes)

    def _fork(self, row: int, sequence: Sequence, thought: int) -> Fork | None:
        """What a trace needs to go on after an answer; at the last budget it does not."""
        if sequence.at_last_budget:
            return None
        return Fork(thought, sequence.seen, save(self.cache, row, sequence.most_ahead))

    def _close_gaps(self) -> None:
        """Drop finished sequences; the last running one moves into each gap."""
        for row in reversed(range(len(self.running))):
            if self.running[row].finished:
                last = self.running.pop()
                if row < len(self.running):
                    self.cache.move(len(self.running), row)
                    self.running[row] = last
                self.cache.clear(len(self.running))  # as padding it would be attended to
