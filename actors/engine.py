"""What an engine is: it takes trace requests, is stepped, and hands back finished traces.

One trace serves every token budget. At each budget the decoder's state is forked, thinking is closed by
force, and a short answer is decoded from the fork while the trace thinks on. The state at a budget
depends on the tokens before it alone, so the fork is distributed exactly as a run with that budget.
"""

from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Protocol

from raysweep.spec import Decoding


@dataclass(frozen=True)
class TraceRequest:
    """One sample to generate. `key` seeds its randomness and nothing else's (see `sampling`)."""

    prompt: str
    key: int
    decoding: Decoding


@dataclass(frozen=True)
class BudgetAnswer:
    """The answer that a run with this token budget gives.

    thinking_tokens  tokens between the thinking's markers
    forced           thinking was closed by force at the budget
    text             all after the closing marker, a forced opener included
    ended            the answer ended by itself, not by running into its limit
    answer_tokens    tokens decoded for it
    kv_bytes         live bytes of prompt and thinking in the KV cache
    given_up         it took longer than its deadline: there is no answer, and nobody knows which
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

    finish is `stop` (thinking ended by itself), `budget` (closed at the largest budget), `loop` (it was
    closed by force in endless repetition), `end` (the text ended in mid-thinking, and so without an
    answer) or `deadline` (it took too long and was given up). token_ids are the thoughts, extensions
    included, and the answer that the trace gave by itself; forced closings are left out.

    waits              how often an early end of thinking was answered with an extension
    reused_tokens      thinking that answers followed and that lay in the cache still
    recomputed_tokens  thinking that was computed again for them
    reproducible       what holds of it: `batch_invariant`, it is the same whatever runs beside it;
                       `seeded`, it is drawn with its own seed, from logits that may be rounded
                       otherwise in another batch
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
    kv_bytes           live bytes of their KV cache, as counted
    modelled_kv_bytes  the same by the memory model
    """

    rows: int
    kv_bytes: int
    modelled_kv_bytes: int


class Engine(Protocol):
    """Continuous batching behind two calls. Not thread-safe.

    warnings  what a user should know about the engine as it was loaded
    waiting   samples for which there is no row yet
    """

    warnings: tuple[str, ...]

    @property
    def waiting(self) -> Sized: ...

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample; `done` is called from a later `step` once it is finished."""
        ...

    def step(self) -> None:
        """Decode one token of every running sequence."""
        ...

    def usage(self) -> Usage:
        """What it holds now; counted anew at every call, which costs more than a step should."""
        ...
