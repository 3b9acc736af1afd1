"""The KV cache of a batch: every row under one policy, each exactly as if it were alone.

A row's newest tokens lie in native slots, packed ones (if the policy packs) in packed slots. A step
appends one token to each of the first n rows and attends; a row that reaches the policy's mark is then
settled (see `settling`). What a row attends to is masked to its own extent.

A fork is not a copy: the row goes on with the forced closing and the answer, and is then rolled back
(`save`, `restore`). What that costs is what those tokens overwrite: nothing for most policies, unless
the row settles on the way. Keys are rotated to their true position, whatever slot they lie in.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from actors.kv_cache.slots import SLOT_BLOCK, Scratch, Slots, native_slots, packed_slots, round_up
from raysweep.spec import Architecture


@dataclass(frozen=True)
class Extent:
    """How many tokens a row has seen, and how many it holds in native and in packed slots."""

    seen: int = 0
    native: int = 0
    packed: int = 0


@dataclass(frozen=True)
class Saved:
    """A row as it was: its extent, and what up to `ahead` more tokens may overwrite.

    It can be restored into another row, should the sequence have moved there.
    """

    extent: Extent
    ahead: int
    contents: tuple[torch.Tensor, ...]


@dataclass(eq=False)
class KVCache:
    """Keys and values of `rows` sequences.

    policy   a `raysweep.kv_policy.KVPolicy`; those that evict or pack say more (see `settling`)
    storage  the type of native numbers
    """

    architecture: Architecture
    policy: Any
    rows: int
    storage: torch.dtype
    device: torch.device
    extents: list[Extent] = field(init=False)
    native: Slots = field(init=False)
    packed: Slots | None = field(init=False, default=None)
    queries: torch.Tensor = field(init=False)  # [layers, rows, kv_heads, group, observed, head_dim]
    scratch: Scratch = field(init=False, default_factory=Scratch)

    def __post_init__(self) -> None:
        a, policy = self.architecture, self.policy
        self.extents = [Extent()] * self.rows
        self.native = native_slots(a, self.rows, self.storage, self.device, policy.scores_attention)
        if policy.packing is not None:
            self.packed = packed_slots(
                a, self.rows, policy.packing, self.device, policy.scores_attention
            )
        group = a.heads // a.kv_heads
        shape = (a.layers, self.rows, a.kv_heads, group, policy.observed_queries, a.head_dim)
        self.queries = torch.zeros(shape, dtype=self.storage, device=self.device)

    @property
    def settles_at(self) -> int | None:
        """Native tokens at which a row is settled, None if it never is."""
        return getattr(self.policy, "settles_at", None)

    @property
    def packed_block(self) -> int:
        """Packed slots come in multiples of this: whole groups, and few shapes."""
        return math.lcm(SLOT_BLOCK, self.policy.packing.group_size)

    def reserve(self, tokens: int) -> None:
        """Make room for rows that see up to `tokens` tokens; keeps what is there."""
        most = self.policy.reserved(tokens)
        native = most.native
        if self.packed is not None:
            native = self.policy.settles_at  # in every batch the same, see `attention.Block`
            self.packed.reserve(round_up(most.packed, self.packed_block))
        self.native.reserve(round_up(native, SLOT_BLOCK))

    @property
    def addresses(self) -> tuple[int, ...]:
        """Where the tensors lie that are replaced as the cache grows."""
        stores = (self.native, self.packed) if self.packed is not None else (self.native,)
        lanes = (lane.tensor for slots in stores for lane in slots.lanes.values())
        return tuple(tensor.data_ptr() for tensor in (*lanes, *self.scratch.buffers.values()))

    def slot(self, extent: Extent) -> int:
        """The native slot of a row's next token: behind the others, or where a policy's ring says."""
        ring = getattr(self.policy, "slot", None)
        return extent.native if ring is None else ring(extent.seen)

    def advance(self, row: int, tokens: int) -> None:
        """Count tokens that have been written into a row's native slots."""
        extent = self.extents[row]
        seen, native = extent.seen + tokens, extent.native + tokens
        if hasattr(self.policy, "slot"):
            native = self.policy.held(seen).native
        self.extents[row] = Extent(seen, native, extent.packed)

    def clear(self, row: int) -> None:
        self.extents[row] = Extent()

    # ---- forks and moves ----

    def save(self, row: int, ahead: int) -> Saved:
        """What it takes to roll the row back after up to `ahead` more tokens."""
        contents = tuple(view.clone() for view in self._endangered(row, ahead))
        return Saved(self.extents[row], ahead, contents)

    def restore(self, row: int, saved: Saved) -> None:
        """Make a row again what it was when saved."""
        self.extents[row] = saved.extent
        for view, content in zip(self._endangered(row, saved.ahead), saved.contents, strict=True):
            view.copy_(content)

    def _endangered(self, row: int, ahead: int) -> Iterator[torch.Tensor]:
        """Views of what the next `ahead` tokens of a row may overwrite; the same ones for an equal extent."""
        extent = self.extents[row]
        yield self.queries[:, row]
        if self.settles_at is not None and extent.native + ahead >= self.settles_at:
            yield from self.native.used(row, extent.native)
            if self.packed is not None and self.policy.evicts(extent.packed + self._packs(ahead)):
                yield from self.packed.used(row, extent.packed)
        elif hasattr(self.policy, "slot"):
            slots = {self.policy.slot(extent.seen + step) for step in range(ahead)}
            for slot in sorted(slots):
                if slot < extent.native:
                    yield from (lane.tensor[:, row, :, slot] for lane in self.native.lanes.values())
        if self.policy.scores_attention:
            for slots, tokens in self._stores(row):
                yield slots.lanes["attention"].used(row, tokens)

    def _packs(self, ahead: int) -> int:
        """Tokens that may be packed at most while `ahead` more come."""
        return round_up(ahead, self.policy.group_size)

    def _held(self, row: int) -> Iterator[torch.Tensor]:
        """Views of all that a row holds."""
        for slots, tokens in self._stores(row):
            yield from slots.used(row, tokens)

    def _stores(self, row: int) -> Iterator[tuple[Slots, int]]:
        """The slots of either kind, and how many tokens the row has in them."""
        yield self.native, self.extents[row].native
        if self.packed is not None:
            yield self.packed, self.extents[row].packed

    def move(self, source: int, target: int) -> None:
        """Make row `target` equal to `source`."""
        self.extents[target] = self.extents[source]
        for there, here in zip(self._held(target), self._held(source), strict=True):
            there.copy_(here)
        self.queries[:, target] = self.queries[:, source]

    def row_bytes(self, row: int) -> int:
        """Bytes that a row holds now, counted from the tensors."""
        observed = min(self.policy.observed_queries, self.extents[row].seen)
        queries = self.queries[:, row, :, :, :observed]
        return sum(view.nbytes for view in (*self._held(row), queries))
