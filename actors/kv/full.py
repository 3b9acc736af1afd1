"""full: every token keeps its slot."""

import torch

from raysweep import kv_policy


class Full:
    def __init__(self, policy: kv_policy.Full):
        self.kept = policy.kept_tokens

    def slots(self, positions: torch.Tensor) -> torch.Tensor:
        return positions
