"""full: every token stays, in 16 bit. It has no parameters."""

from dataclasses import dataclass

from raysweep.kv_policy import Held


@dataclass(frozen=True)
class Full:
    """Keep every token."""

    slug = "full"
    packing = None
    observed_queries = 0
    scores_attention = False

    def held(self, tokens: int) -> Held:
        return Held(tokens)

    def reserved(self, tokens: int) -> Held:
        return Held(tokens)
