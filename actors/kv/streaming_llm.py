"""streaming_llm: attention sinks and a sliding window (Xiao et al., arXiv 2309.17453).

The window is a ring: a token overwrites the one that leaves it. Attention does not mind the order of
slots, because keys carry their position.
"""

import torch

from raysweep import kv_policy


class StreamingLLM:
    def __init__(self, policy: kv_policy.StreamingLLM):
        self.sinks, self.window = policy.sinks, policy.window
        self.kept = policy.kept_tokens

    def slots(self, positions: torch.Tensor) -> torch.Tensor:
        ring = self.sinks + (positions - self.sinks) % self.window
        return torch.where(positions < self.sinks, positions, ring)
