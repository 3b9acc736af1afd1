"""Parts of a cache that are compacted together: one row in all layers, or one layer of several rows.

A CPU takes a row with all its layers, which needs the fewest calls. A GPU takes a layer with all rows that
are due, which needs the fewest launches and the least memory beside the cache. Each row and layer of a part
is scored and reduced for itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

from actors import kernels

if TYPE_CHECKING:
    from actors.kv_cache.cache import KVCache


@dataclass(frozen=True)
class Part:
    """Some rows in some layers: all layers of one row, or one layer of the rows in an index tensor.

    rows  the rows' numbers, in the order of the part's first dimension if it has one layer
    """

    layers: slice | int
    rows: tuple[int, ...]
    index: torch.Tensor | None

    @property
    def layers_slice(self) -> slice:
        """Its layers, as a slice."""
        one = self.layers
        return one if isinstance(one, slice) else slice(one, one + 1)

    def read(self, tensor: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        """The part's entries [n, kv_heads, stop - start, ...] of a lane [layers, rows, kv_heads, ...].

        A view for one row, a copy for several.
        """
        if self.index is None:
            return tensor[self.layers, self.rows[0], :, start:stop]
        if len(self.rows) == 1:
            return tensor[self.layers, self.rows[0] : self.rows[0] + 1, :, start:stop]
        return tensor[self.layers][:, :, start:stop].index_select(0, self.index)

    def write(self, tensor: torch.Tensor, starts: Sequence[int], entries: torch.Tensor) -> None:
        """Put entries [n, kv_heads, count, ...] into the lane, from each row's place in `starts` on."""
        count = entries.shape[2]
        if self.index is None:
            tensor[self.layers, self.rows[0], :, starts[0] : starts[0] + count] = entries
            return
        if len(set(starts)) == 1:
            tensor[self.layers][self.index, :, starts[0] : starts[0] + count] = entries
            return
        first = on_device(tuple(starts), torch.long, tensor.device)[:, None]
        places = first + torch.arange(count, device=tensor.device)
        tensor[self.layers][self.index[:, None], :, places] = entries.transpose(1, 2)


@lru_cache(maxsize=256)
def on_device(numbers: tuple, dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """A tensor of these numbers, which must not be changed: the layers of a compaction share it.

    The host does not wait for the device, as it would if the numbers were copied from ordinary memory.
    """
    tensor = torch.tensor(numbers, dtype=dtype)
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)


def whole_row(row: int) -> Part:
    """All layers of a row."""
    return Part(slice(None), (row,), None)


def parts_of(cache: KVCache, rows: Sequence[int]) -> Iterator[Part]:
    """The parts that make up these rows."""
    if not kernels.used_on(cache.device):
        yield from map(whole_row, rows)
        return
    most_rows = cache.rows_compacted_together
    for start in range(0, len(rows), most_rows):
        some = tuple(rows[start : start + most_rows])
        index = on_device(some, torch.int32, cache.device)
        for layer in range(cache.architecture.layers):
            yield Part(layer, some, index)
