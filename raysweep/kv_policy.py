"""KV policies as data: their parameters and how many tokens each keeps.

The tensor side of a policy, which does the keeping, has the same name under `actors/kv/`.
"""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Full:
    """Keep every token."""

    method = "full"

    @property
    def slug(self) -> str:
        return self.method

    def kept_tokens(self, tokens: int) -> int:
        """Tokens whose keys and values are held once `tokens` have been seen."""
        return tokens


@dataclass(frozen=True)
class StreamingLLM:
    """Keep the first `sinks` tokens and the newest `window` (Xiao et al., arXiv 2309.17453).

    Keys keep the rotary position at which they were made.
    """

    sinks: int
    window: int

    method = "streaming_llm"

    @property
    def slug(self) -> str:
        """By the tokens it keeps: `streaming_llm-64` has 4 sinks and a window of 60."""
        return f"{self.method}-{self.sinks + self.window}"

    def kept_tokens(self, tokens: int) -> int:
        return min(tokens, self.sinks + self.window)


KVPolicy = Full | StreamingLLM
METHODS: dict[str, type[Full] | type[StreamingLLM]] = {p.method: p for p in (Full, StreamingLLM)}


def parameters(policy: KVPolicy) -> dict[str, int]:
    """The policy's parameters by name, `{}` for `full`."""
    return asdict(policy)
