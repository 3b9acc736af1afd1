"""What an engine is: it takes trace requests, is stepped, and returns finished traces.

One trace serves every token budget. At each budget the decoder's state is forked, thinking is closed by
force, and a short answer is decoded from the fork while the trace continues thinking. The state at a budget
depends only on the tokens before it, so the fork is distributed exactly as a run with that budget.
"""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Protocol

from raysweep.spec import Decoding


@dataclass(frozen=True)
class TraceRequest:
    """One sample to generate.

    prompt  as the model reads it (`Question.rendered`)
    key     seeds the randomness of this sample alone (see `sampling`)
    begun   the same sample up to fewer token budgets, cut at the largest of them, for an engine that
            continues it
    """

    prompt: str
    key: int
    decoding: Decoding
    begun: "Trace | None" = None


@dataclass(frozen=True)
class BudgetAnswer:
    """The answer that a run with this token budget gives.

    thinking_tokens  tokens between the markers of the thinking
    forced           whether thinking was closed by force: at the budget, as a loop, or after its text ended
    text             everything after the closing marker, a forced opener included, without special tokens;
                     the thinking itself where an ended text is the answer
    ended            whether the answer ended by itself, and not at its limit
    answer_tokens    tokens decoded for the answer; 0 where the thinking is the answer
    kv_bytes         live bytes in the KV cache when thinking ended
    given_up         whether it took longer than its deadline, so that the answer is unknown
    """

    token_budget: int
    thinking_tokens: int
    forced: bool
    text: str
    ended: bool
    answer_tokens: int
    kv_bytes: int
    given_up: bool = False


@dataclass(frozen=True)
class Trace:
    """A finished sample: its own tokens, and an answer for each token budget, smallest first.

    token_ids          the thoughts, extensions included, and the answer that the trace gave by itself;
                       forced closings are left out
    finish             `stop`: thinking ended by itself; `budget`: it was closed at the largest budget;
                       `loop`: it repeated itself when it was closed by force; `end`: the text ended
                       during thinking, which has an answer only if the end closes thinking (`Decoding`);
                       `deadline`: it took too long
    reused_tokens      tokens of thinking before answers that were still in the cache
    recomputed_tokens  tokens of thinking before answers that were computed again
    reproducible       `batch_invariant`: the trace does not depend on what runs beside it; `seeded`: it
                       is drawn with its own seed, but rounding of its logits may depend on the batch;
                       `unseeded`: a server has drawn it, which takes no seed; `resumed`: it was continued
                       from a trace up to fewer budgets, and its continuation has a seed of its own
    waits              how often an early end of thinking was replaced by an extension
    """

    prompt_tokens: int
    token_ids: tuple[int, ...]
    finish: str
    answers: tuple[BudgetAnswer, ...]
    wall_s: float
    reused_tokens: int = 0
    recomputed_tokens: int = 0
    reproducible: str = "batch_invariant"
    waits: int = 0


@dataclass(frozen=True)
class Usage:
    """What an engine holds between two steps.

    rows               sequences that it decodes
    kv_bytes           live bytes of their KV cache, counted from tensors
    modelled_kv_bytes  the same by the memory model
    """

    rows: int
    kv_bytes: int
    modelled_kv_bytes: int


class Engine(Protocol):
    """Continuous batching behind two calls. Not thread-safe.

    warnings   what a user should know about the loaded engine
    continues  whether it goes on with a trace that was begun (`TraceRequest`); others make it anew
    waiting    samples that have no row yet
    """

    warnings: tuple[str, ...]
    continues: bool

    @property
    def waiting(self) -> Sized: ...

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample; `done` is called from a later `step` once it is finished."""
        ...

    def step(self) -> None:
        """Decode one token of every running sequence."""
        ...

    def usage(self) -> Usage:
        """What the engine holds now; counted at every call, too slowly to be called in every step."""
        ...
