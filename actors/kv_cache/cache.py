"""The KV cache of a batch: every row under one policy, each exactly as if it were alone.

A row's newest tokens lie in native slots, packed ones (if the policy packs) in packed slots. The sinks of a
packing policy stay in the first native slots. `step` appends tokens and attends to them, `compaction` drops
or packs old ones. Keys are rotated to their true position, whatever slot they lie in.

A fork is not a copy: the row is fed the forced closing and the answer, and is then rolled back (`rollback`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch

from actors.kv.protocols import EvictingPolicy, PackingPolicy, RingPolicy, check_complete
from actors.kv_cache.slots import Scratch, Slots, native_slots, packed_slots
from raysweep import memory
from raysweep.kv_policy import KVPolicy
from raysweep.spec import Architecture

if TYPE_CHECKING:
    from actors.kv_cache.rollback import Dropped


@dataclass(frozen=True)
class Extent:
    """How many tokens a row has seen, and how many it holds in native and in packed slots."""

    seen: int = 0
    native: int = 0
    packed: int = 0


@dataclass(eq=False)
class KVCache:
    """Keys and values of `rows` sequences.

    storage  the type of native numbers
    ring, evicting, packer  the policy again, typed by what it offers (see `actors.kv.protocols`); at most
                            one of them is set
    """

    architecture: Architecture
    policy: KVPolicy
    rows: int
    storage: torch.dtype
    device: torch.device
    ring: RingPolicy | None = field(init=False)
    evicting: EvictingPolicy | None = field(init=False)
    packer: PackingPolicy | None = field(init=False)
    extents: list[Extent] = field(init=False)
    notes: list[list[Dropped] | None] = field(init=False)  # of compactions that may be undone
    native: Slots = field(init=False)
    packed: Slots | None = field(init=False, default=None)
    queries: torch.Tensor = field(init=False)  # [layers, rows, kv_heads, group, observed, head_dim]
    longest: int = field(init=False, default=1)  # tokens that a row may see
    scratch: Scratch = field(init=False, default_factory=Scratch)

    def __post_init__(self) -> None:
        a, policy = self.architecture, self.policy
        check_complete(policy)
        self.ring = policy if isinstance(policy, RingPolicy) else None
        self.evicting = policy if isinstance(policy, EvictingPolicy) else None
        self.packer = policy if isinstance(policy, PackingPolicy) else None
        self.extents, self.notes = [Extent()] * self.rows, [None] * self.rows
        self.native = native_slots(a, self.rows, self.storage, self.device, policy.scores_attention)
        if self.packer is not None:
            packing, attention = self.packer.packing, policy.scores_attention
            self.packed = packed_slots(a, self.rows, packing, self.device, attention)
        group = a.heads // a.kv_heads
        shape = (a.layers, self.rows, a.kv_heads, group, policy.observed_queries, a.head_dim)
        self.queries = torch.zeros(shape, dtype=self.storage, device=self.device)

    @property
    def compacts_at(self) -> int | None:
        """Native tokens at which a row is compacted, None if it never is."""
        compacting = self.evicting or self.packer
        return None if compacting is None else compacting.compacts_at

    @property
    def rows_compacted_together(self) -> int:
        """The most rows whose compaction, layer by layer, needs no more memory than `COMPACTION_BYTES`."""
        row = memory.compaction_row_bytes(self.architecture, self.policy, self.longest)
        return max(1, memory.COMPACTION_BYTES // row)

    def reserve(self, tokens: int) -> None:
        """Grow the slots for rows that see up to `tokens` tokens; what they hold is kept."""
        slots = memory.reserved_slots(self.policy, tokens)
        self.longest = max(self.longest, tokens)
        self.native.reserve(slots.native)
        if self.packed is not None:
            self.packed.reserve(slots.packed)

    @property
    def addresses(self) -> tuple[int, ...]:
        """The addresses of all tensors that are replaced as the cache grows."""
        stores = (self.native, self.packed) if self.packed is not None else (self.native,)
        lanes = (lane.tensor for slots in stores for lane in slots.lanes.values())
        return tuple(tensor.data_ptr() for tensor in (*lanes, *self.scratch.buffers.values()))

    def slot(self, extent: Extent) -> int:
        """The native slot of a row's next token: behind the others, or as the policy's ring says."""
        return extent.native if self.ring is None else self.ring.slot(extent.seen)

    def advance(self, row: int, tokens: int) -> None:
        """Count tokens that have been written into a row's native slots."""
        extent = self.extents[row]
        seen, native = extent.seen + tokens, extent.native + tokens
        if self.ring is not None:
            native = self.policy.held(seen).native
        self.extents[row] = Extent(seen, native, extent.packed)

    def clear(self, row: int) -> None:
        self.extents[row], self.notes[row] = Extent(), None

    # ---- rows as a whole ----

    def held(self, row: int) -> Iterator[torch.Tensor]:
        """Views of everything that a row holds."""
        for slots, tokens in self.stores(row):
            yield from slots.used(row, tokens)

    def stores(self, row: int) -> Iterator[tuple[Slots, int]]:
        """The slots of either kind, and how many tokens the row has in them."""
        yield self.native, self.extents[row].native
        if self.packed is not None:
            yield self.packed, self.extents[row].packed

    def move(self, source: int, target: int) -> None:
        """Make row `target` equal to `source`."""
        self.extents[target], self.notes[target] = self.extents[source], self.notes[source]
        for there, here in zip(self.held(target), self.held(source), strict=True):
            there.copy_(here)
        self.queries[:, target] = self.queries[:, source]

    def row_bytes(self, row: int) -> int:
        """Bytes that a row holds now, counted from the tensors."""
        return self.bytes_of(self.extents[row])

    def bytes_of(self, extent: Extent) -> int:
        """Bytes that a row of this extent holds, counted from the tensors."""
        observed = min(self.policy.observed_queries, extent.seen)
        queries = self.queries[:, 0, :, :, :observed]
        stores = [(self.native, extent.native)]
        if self.packed is not None:
            stores.append((self.packed, extent.packed))
        held = (view for slots, tokens in stores for view in slots.used(0, tokens))
        return sum(view.nbytes for view in (*held, queries))
