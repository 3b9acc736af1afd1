"""The torch engine: continuous batching with a fork at every token budget.

    step:  admit traces -> decode one token per row -> take note -> close gaps

Rows are dense: the running sequences lie in rows 0..n-1, and the last one moves into a gap. At a token
budget a row answers, is rolled back, and continues thinking; so forks take no rows and copy no cache.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from actors import kernels
from actors.engine import Trace, TraceRequest, Usage
from actors.kv_cache import step
from actors.kv_cache.cache import Extent, KVCache
from actors.kv_cache.prompt import PromptKV, Settled, settled, start_like, start_row
from actors.kv_cache.rollback import restore, save
from actors.tokenization import Texts
from actors.torch_engine.batch import Batch, Drawn, Launched
from actors.torch_engine.budget_forcing import Fork, Sequence
from actors.torch_engine.cpu_step import CpuStep
from actors.torch_engine.graphs import Graphs, recorder_on_cuda
from actors.torch_engine.model import load_decoder
from actors.torch_engine.row_block import LARGEST_BLOCK, row_block
from actors.torch_engine.sampling import NOTHING, draw_each, uniforms
from actors.trace_assembly import Sample
from raysweep import memory
from raysweep.errors import shown
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture

ROWS_DEPEND = "on this CPU, rounding of a row's logits depends on the number of rows in the batch"


@dataclass(frozen=True)
class Prefilled:
    """A prompt as all samples of its question begin: its row, and the logits after its last token."""

    tokens: int
    row: Settled
    logits: torch.Tensor


class TorchEngine:
    """An `Engine` over a Hugging Face folder. For `storage` and `arithmetic`, see `model.Decoder`.

    longest  tokens of the longest sequence to come, for which the cache is reserved at once; without it, that
             is the model's context on a GPU, and on a CPU the cache grows with what is asked
    lag      1 if a step is launched before the host reads the tokens of the last one, otherwise 0
    """

    continues = False

    def __init__(
        self,
        path: str,
        architecture: Architecture,
        policy: KVPolicy,
        max_rows: int,
        storage: torch.dtype = torch.bfloat16,
        arithmetic: torch.dtype | None = None,
        longest: int | None = None,
    ):
        device = fastest_device()
        self.decoder = load_decoder(path, storage, device, arithmetic)
        self.texts = Texts(path, architecture.context)
        # On a CPU whole blocks of rows are decoded, so the cache must have that many.
        on_cpu = device.type == "cpu"
        self.max_rows = memory.round_up(max_rows, LARGEST_BLOCK) if on_cpu else max_rows
        self.cache = KVCache(architecture, policy, self.max_rows, storage, device)
        whole = architecture.context if kernels.used_on(device) else 1
        self.cache.reserve(longest or whole)
        self.lag, self.reproducible, self.warnings = 0, "batch_invariant", ()
        self.decode: Callable[[Batch, Drawn | None], Drawn]
        if kernels.used_on(device):
            self._decode_on_gpu()
        else:
            self._decode_on_cpu()
        self.waiting: deque[tuple[TraceRequest, Callable[[Trace], None]]] = deque()
        self.running: list[Sequence] = []
        self.launched: deque[Launched] = deque()
        self.prompts: OrderedDict[tuple[int, ...], Prefilled] = OrderedDict()

    def _decode_on_cpu(self) -> None:
        block = row_block(self._equal_rows, self.max_rows)
        if block is None:
            self.reproducible, self.warnings = "seeded", (ROWS_DEPEND,)
        self.decode = CpuStep(self.decoder, self.cache, block or 1)

    def _decode_on_gpu(self) -> None:
        """Libraries choose how to multiply by the number of rows, and so round otherwise."""
        from actors.torch_engine.gpu_step import GpuStep

        self.reproducible = "seeded"
        # A step that adds to sums of attention may be run once only, so it is neither recorded, which takes
        # several runs, nor launched with a token that may be wrong.
        once = self.cache.policy.scores_attention
        self.lag = 0 if once else 1
        recorded = not once and self.cache.device.type == "cuda"
        graphs = Graphs(recorder_on_cuda) if recorded else None
        self.decode = gpu = GpuStep(self.decoder, self.cache, graphs)
        if recorded:
            gpu.record()

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample. Raises ValueError if it does not fit into the context."""
        self.texts.check_room(request)
        self.waiting.append((request, done))

    def step(self) -> None:
        self._admit()
        if self.running:
            self.launched.append(self._launch())
        while self.launched and (len(self.launched) > self.lag or not self.running):
            self._take_note(self.launched.popleft())
            self._close_gaps()

    def usage(self) -> Usage:
        rows = range(len(self.running))
        modelled = partial(memory.kv_bytes, self.cache.architecture, self.cache.policy)
        return Usage(
            rows=len(rows),
            kv_bytes=sum(map(self.cache.row_bytes, rows)),
            modelled_kv_bytes=sum(modelled(self.cache.extents[row].seen) for row in rows),
        )

    def _admit(self) -> None:
        """Start the samples for which there are rows, and draw their first tokens together."""
        count = min(len(self.waiting), self.max_rows - len(self.running))
        if not count:
            return
        admitted = [self.waiting.popleft() for _ in range(count)]
        first = len(self.running)
        prompts = list(self._started([request for request, _ in admitted], first))
        for (request, done), (tokens, _) in zip(admitted, prompts, strict=True):
            vocabulary = self.texts.vocabulary(request.decoding)
            sample = Sample(request, vocabulary, tokens, done, self.reproducible)
            self.running.append(Sequence(sample, seen=tokens, feed=[]))
        new = self.running[first:]
        draws = uniforms(np.array([s.key for s in new], np.uint64), np.array([s.seen for s in new]))
        samplings = [s.sample.request.decoding.sampling for s in new]
        drawn = draw_each(torch.stack([logits for _, logits in prompts]), draws, samplings).tolist()
        for row, (sequence, token) in enumerate(zip(new, drawn, strict=True), first):
            _check_finite(sequence, token)
            sequence.accept(token, partial(self.cache.row_bytes, row))
        self._close_gaps()  # a text may end with its first token

    def _started(
        self, requests: list[TraceRequest], first: int
    ) -> Iterator[tuple[int, torch.Tensor]]:
        """Begin rows, from `first` on, with the requests' prompts; tokens of each, and logits after them."""
        coming = [self._tokens(request) for request in requests]
        computed: dict[tuple[int, ...], tuple[PromptKV, torch.Tensor]] = {}
        for number, tokens in enumerate(coming):
            if tokens in self.prompts:
                prompt = self.prompts[tokens]
                start_like(self.cache, first + number, prompt.row)
            else:
                if tokens not in computed:
                    computed = self._prefill(coming[number:])
                prompt = self._keep_prompt(tokens, first + number, *computed.pop(tokens))
            yield prompt.tokens, prompt.logits

    def _prefill(
        self, coming: list[tuple[int, ...]]
    ) -> dict[tuple[int, ...], tuple[PromptKV, torch.Tensor]]:
        """Compute the first of these prompts, with as many of the others as are computed together."""
        policy = self.cache.policy
        looks_back = bool(policy.observed_queries or policy.scores_attention)
        missing = [t for t in dict.fromkeys(coming) if t not in self.prompts]
        found = self.decoder.prefill_some(missing, keep_queries=looks_back)
        return dict(zip(missing, found, strict=False))

    def _tokens(self, request: TraceRequest) -> tuple[int, ...]:
        self.cache.reserve(self.texts.most_tokens(request))
        return self.encode_prompt(request)

    def _keep_prompt(
        self, tokens: tuple[int, ...], row: int, kv: PromptKV, logits: torch.Tensor
    ) -> Prefilled:
        """Begin a row with a prompt, which is kept for more samples."""
        start_row(self.cache, row, kv)
        prompt = Prefilled(len(tokens), settled(self.cache, row), logits)
        self.prompts[tokens] = prompt
        a, policy = self.cache.architecture, self.cache.policy
        most = memory.kept_prompts_bytes(a, policy, self.cache.longest)
        while (
            len(self.prompts) > 1 and sum(kept.row.nbytes for kept in self.prompts.values()) > most
        ):
            self.prompts.popitem(last=False)
        return prompt

    def encode_prompt(self, request: TraceRequest) -> tuple[int, ...]:
        return self.texts.encode_prompt(request)

    def _launch(self) -> Launched:
        """Feed every running sequence its next token, or the one that it draws in the step before."""
        before = self.launched[-1].rows if self.launched else {}
        rows, tokens, sources, positions = {}, [], [], []
        for row, sequence in enumerate(self.running):
            ahead = sequence in before
            known = len(sequence.feed) > ahead
            # A compaction cannot be taken back: before one, a row waits for the host, and is fed in vain.
            if known or not step.compacts_next(self.cache, row):
                rows[sequence] = row
            tokens.append(sequence.feed[ahead] if known else NOTHING)
            sources.append(before.get(sequence, 0))
            positions.append(sequence.seen + ahead)
        keys = np.array([sequence.key for sequence in self.running], dtype=np.uint64)
        draws = uniforms(keys, np.array(positions) + 1)
        samplings = [sequence.sample.request.decoding.sampling for sequence in self.running]
        batch = Batch(tokens, sources, positions, draws, samplings)
        drawn = self.decode(batch, self.launched[-1].drawn if self.launched else None)
        step.end(self.cache, list(rows.values()))
        return Launched(rows, tuple(self.cache.extents[: len(tokens)]), drawn)

    def _equal_rows(self, rows: int) -> torch.Tensor:
        """Logits of the first `rows` rows after the same token; nothing in the cache counts before it."""
        self.cache.reserve(1)
        tokens = torch.full((rows,), self.cache.architecture.vocab_size // 2)
        return self.decoder.decode(tokens, torch.zeros_like(tokens), self.cache)

    def _take_note(self, now: Launched) -> None:
        """Take in a step's tokens; a row at a budget forks, and one that has answered resumes thinking."""
        drawn = now.drawn.read()
        for row, sequence in enumerate(self.running):
            if sequence in now.rows:
                place = now.rows[sequence]
                self._accept(row, sequence, drawn[place], now.extents[place])

    def _accept(self, row: int, sequence: Sequence, token: int, extent: Extent) -> None:
        """Take in a row's token; `extent` is the row's when it was drawn."""
        _check_finite(sequence, token)
        sequence.seen += 1
        sequence.feed.pop(0)
        if sequence.feed:
            return
        live_bytes = partial(self.cache.bytes_of, extent)
        if sequence.at_budget:
            self._take_back(row, sequence, extent)
            fork = self._fork(row, sequence, token)
            sequence.close_by_force(live_bytes, sequence.thinking_tokens, fork)
            return
        if sequence.in_loop:
            sequence.end_loop(live_bytes)
        else:
            sequence.accept(token, live_bytes)
        if sequence.feed != [token]:
            self._take_back(row, sequence, extent)
        if sequence.finished and sequence.fork is not None:
            restore(self.cache, row, sequence.fork.saved)
            sequence.resume(partial(self.cache.row_bytes, row))

    def _take_back(self, row: int, sequence: Sequence, extent: Extent) -> None:
        """Undo a step that has fed the row another token than it is to be fed.

        The right token will be written where the wrong one was, so only the row's extent must be undone.
        """
        for later in self.launched:
            if later.rows.pop(sequence, None) is not None:
                self.cache.extents[row] = extent

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


def fastest_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def _check_finite(sequence: Sequence, token: int) -> None:
    """Raise FloatingPointError if no token could be drawn from the logits."""
    if token == NOTHING:
        raise FloatingPointError(
            f"the model's logits are not finite, {sequence.seen:,} tokens into a trace of "
            f"{shown(sequence.sample.request.prompt[-120:])}"
        )
