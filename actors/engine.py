"""What an engine is: it takes trace requests, is stepped, and hands back finished traces.

One trace serves every token budget. At each budget the decoder's state is forked, thinking is closed by
force, and a short answer is decoded from the fork while the trace thinks on. The state at a budget
depends on the tokens before it alone, so the fork is distributed exactly as a run with that budget.
"""

from collections.abc import Callable
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
    """

    token_budget: int
    thinking_tokens: int
    forced: bool
    text: str
    ended: bool
    answer_tokens: int
    kv_bytes: int


@dataclass(frozen=True)
class Trace:
    """A finished sample: its own tokens, and an answer for each token budget, smallest first.

    finish is `stop` (thinking ended by itself), `budget` (closed at the largest budget) or `end` (the
    text ended in mid-thinking, and so without an answer). token_ids are those that the trace generated,
    forced ones left out.
    """

    prompt_tokens: int
    token_ids: tuple[int, ...]
    finish: str
    answers: tuple[BudgetAnswer, ...]
    wall_s: float


class Engine(Protocol):
    """Continuous batching behind two calls. Not thread-safe."""

    def add(self, request: TraceRequest, done: Callable[[Trace], None]) -> None:
        """Queue a sample; `done` is called from a later `step` once it is finished."""
        ...

    def step(self) -> None:
        """Decode one token of every running sequence."""
        ...
