"""streaming_llm: attention sinks and a sliding window (Xiao et al., arXiv 2309.17453).

    slot(position) = position                                 for the first `sinks` tokens
                     sinks + (position - sinks) mod window    for all others

The window is a ring: a new token overwrites the one that leaves the window. The order of slots does not
matter to attention, because keys carry their position. They keep the rotary position at which they were
made, whereas the paper counts positions within the cache. As the `evict` of `quantized`, it drops packed
tokens in blocks, oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from raysweep.kv_policy import Held

if TYPE_CHECKING:
    import torch

    from actors.kv.eviction import Row


@dataclass(frozen=True)
class StreamingLLM:
    """Keep the first and the newest tokens. A `RingPolicy`, and a `ScoringPolicy` for packed tokens.

    sinks   oldest tokens, which always stay (the paper uses 4); no default
    window  newest tokens, which stay; no default
    """

    sinks: int
    window: int

    packing = None
    observed_queries = 0
    scores_attention = False

    def __post_init__(self) -> None:
        for name in ("sinks", "window"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is too small; write 1 or more")

    @property
    def slug(self) -> str:
        """Names the tokens kept: `streaming_llm-64` has 4 sinks, `streaming_llm-64-s8` has 8."""
        return f"streaming_llm-{self.budget}" + ("" if self.sinks == 4 else f"-s{self.sinks}")

    @property
    def budget(self) -> int:
        return self.sinks + self.window

    @property
    def buffer(self) -> int:
        return 1

    def held(self, tokens: int) -> Held:
        return Held(min(tokens, self.budget))

    def reserved(self, tokens: int) -> Held:
        return self.held(tokens)

    def slot(self, position: int) -> int:
        """The slot of the token at `position`."""
        if position < self.sinks:
            return position
        return self.sinks + (position - self.sinks) % self.window

    def scores(self, row: Row) -> torch.Tensor:
        """[n, kv_heads, tokens]: the highest for the sinks, then for the newest."""
        import torch

        n, kv_heads, tokens = row.keys.shape[:3]
        ages = torch.arange(tokens, device=row.keys.device, dtype=torch.float32)
        ages[: self.sinks] += tokens
        return ages.expand(n, kv_heads, tokens)
