"""What one decoding step is given, and what is known of a step that has been launched.

A step may be launched before the host has read the tokens of the last one. Then a row is fed the token that
it has just drawn, which only the device knows, and the host looks afterwards whether that was right.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from actors.kv_cache.cache import Extent
from actors.torch_engine.budget_forcing import Sequence
from raysweep.spec import Sampling


@dataclass(frozen=True)
class Batch:
    """The rows 0..n-1 of a step, one entry per row.

    tokens     to feed; NOTHING for a row that is fed the token that it drew in the last step
    sources    that row's place in the last step, 0 for all others
    positions  of the tokens that are fed
    draws      [n] in [0, 1), of the tokens to be drawn
    """

    tokens: list[int]
    sources: list[int]
    positions: list[int]
    draws: np.ndarray
    samplings: list[Sampling]


@dataclass(frozen=True)
class Drawn:
    """What a step has drawn or will draw.

    tokens  where the device keeps them, one per row, until the next step draws others; NOTHING for a row
            whose logits are not finite
    read    waits for them, and gives them to the host
    """

    tokens: torch.Tensor
    read: Callable[[], list[int]]


@dataclass(frozen=True)
class Launched:
    """A step whose tokens the host has not read.

    rows     the place in the step of each sequence that it decodes, but for those that it feeds wrong tokens
    extents  of the step's rows after it
    """

    rows: dict[Sequence, int]
    extents: tuple[Extent, ...]
    drawn: Drawn
