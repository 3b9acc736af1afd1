"""One decoding step on a CPU: feed each row its token, and draw the next ones from the logits."""

from dataclasses import dataclass

import torch

from actors.kv_cache.cache import KVCache
from actors.torch_engine.batch import Batch, Drawn
from actors.torch_engine.model import Decoder
from actors.torch_engine.sampling import NOTHING, draw_each
from raysweep.memory import round_up


@dataclass(frozen=True)
class CpuStep:
    """row_block  rows are decoded in whole blocks of this size (see `row_block`)"""

    decoder: Decoder
    cache: KVCache
    row_block: int

    def __call__(self, batch: Batch, before: Drawn | None) -> Drawn:
        """The tokens that the rows draw; `before` are those of the last step."""
        tokens = torch.tensor(batch.tokens)
        if before is not None:
            tokens = torch.where(tokens == NOTHING, before.tokens[batch.sources], tokens)
        logits = self.decoder.decode(
            self._padded(tokens), self._padded(torch.tensor(batch.positions)), self.cache
        )
        drawn = draw_each(logits[: len(tokens)], batch.draws, batch.samplings)
        return Drawn(drawn, drawn.tolist)

    def _padded(self, numbers: torch.Tensor) -> torch.Tensor:
        rows = round_up(len(numbers), self.row_block)
        return torch.nn.functional.pad(numbers.clamp(min=0), (0, rows - len(numbers)))
