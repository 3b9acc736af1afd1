"""quantized: old tokens are packed to 8, 4 or 2 bits, the newest stay in 16 bit; optionally with eviction.

A row that holds `sinks + residual + group_size` native tokens packs the oldest `group_size` of them behind
its sinks, each once. `layout` says which levels a group has (formulas in `actors.kv_cache.packing`):

    hqq        levels anywhere, with the zero point refined as HQQ does (Badri & Shaji 2023), which is what
               transformers' quantised cache calls with group 64, residual 128 and axis 0
    kivi       levels from the least to the greatest number of a group (Liu et al., arXiv 2402.02750)
    symmetric  levels on both sides of 0, which is one of them; no zero points are stored

`axis` says which numbers form a group, with the numbers that the library hqq and transformers use:

    0  `group_size` tokens of one channel of a KV head
    1  `group_size` channels of one token of a KV head, or all if it has fewer

kivi has keys grouped along 0 and values along 1. HQQ's groups lie within one KV head and one block of tokens
here: a block's numbers are those of the library if it is given that head's block. transformers gives it a
layer's whole cache, whose groups along axis 0 mix tokens that are far apart, and heads.

The first tokens draw much attention, with values close to 0, and share their groups' scales with others.
`sinks` keeps them in 16 bit.

With `evict`, that policy's scores say which packed tokens are evicted. Packed tokens then move, and they
are never packed twice, so groups must lie within a token: axis 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from actors.kv.protocols import ScoringPolicy
from raysweep.kv_policy import Axis, Held, Levels, Packing
from raysweep.system.content import ADDED

Layout = Literal["hqq", "kivi", "symmetric"]
LEVELS: dict[str, Levels] = {"hqq": "hqq", "kivi": "min_max", "symmetric": "symmetric"}
NAMES = {"hqq": "quantized"}  # of layouts in a slug, where they are not their own


@dataclass(frozen=True)
class Quantized:
    """A `PackingPolicy`.

    bits        per packed number: 2, 4 or 8; no default
    group_size  tokens per packed block, and numbers that share a scale (channels per group: at most a
                head's), a multiple of 8; default 64
    residual    newest tokens that always stay in 16 bit (up to `group_size` more wait there); default 128
    layout      hqq, kivi or symmetric, see above; default hqq
    axis        of the groups, 0 or 1, see above; default 0
    sinks       oldest tokens that always stay in 16 bit; default 0
    evict       a `ScoringPolicy` whose budget, in tokens, includes sinks and residual; default None, which
                keeps all tokens
    """

    bits: int
    group_size: int = 64
    residual: int = 128
    layout: Layout = "hqq"
    axis: int = field(default=0, metadata=ADDED)
    sinks: int = field(default=0, metadata=ADDED)
    evict: Any = None  # a configuration reads a parameter of this type as a policy

    def __post_init__(self) -> None:
        if self.bits not in (2, 4, 8):
            raise ValueError(f"bits: {self.bits} is not known; known: 2, 4, 8")
        if self.group_size < 8 or self.group_size % 8:
            raise ValueError(f"group_size: {self.group_size} is not a multiple of 8; write one")
        if self.layout not in LEVELS:
            raise ValueError(f"layout: {self.layout!r} is not known; known: {', '.join(LEVELS)}")
        if self.axis not in (0, 1):
            raise ValueError(f"axis: {self.axis} is not known; known: 0, 1")
        if self.layout == "kivi" and self.axis:
            raise ValueError("axis: kivi has one for keys and another for values; leave it out")
        if self.sinks < 0:
            raise ValueError(f"sinks: {self.sinks} is too small; write 0 or more")
        if self.residual < max(1, self.observed_queries):
            raise ValueError(
                f"residual: {self.residual} is too small; write {max(1, self.observed_queries)} or more"
            )
        if self.evict is not None:
            self._check_evict()

    def _check_evict(self) -> None:
        if not isinstance(self.evict, ScoringPolicy):
            raise ValueError("evict: that policy scores no tokens; choose an evicting one")
        if self.layout == "kivi":
            raise ValueError("layout: kivi packs keys of several tokens together; write hqq")
        if self.axis != 1:
            raise ValueError("axis: 0 packs tokens together, so that none can be evicted; write 1")
        window, sinks = self.evict.window, self.evict.sinks
        if sinks and self.evict.budget - self.residual <= sinks:
            raise ValueError(
                f"evict.sinks: {sinks} do not fit besides the residual of {self.residual} into "
                f"{self.evict.budget} tokens; lower the residual"
            )
        if not sinks and self.residual < window:
            raise ValueError(
                f"residual: {self.residual} is less than evict.window, {window}, whose tokens always "
                "stay; raise it"
            )
        if self.packed_budget < 1:
            raise ValueError(
                f"evict.budget: {self.evict.budget} leaves no token besides {self.sinks} sinks and the "
                f"residual of {self.residual}; raise it"
            )

    @property
    def slug(self) -> str:
        """`quantized-4`, `kivi-4`, `r_kv-256_quantized-4`, then every value that is not the default."""
        name = NAMES.get(self.layout, self.layout)
        changes = [] if self.group_size == 64 else [f"g{self.group_size}"]
        changes += [] if self.residual == 128 else [f"r{self.residual}"]
        changes += ["axis1"] if self.axis and self.evict is None else []
        changes += [f"s{self.sinks}"] if self.sinks else []
        evict = "" if self.evict is None else f"{self.evict.slug}_"
        return evict + "-".join([name, str(self.bits), *changes])

    @property
    def observed_queries(self) -> int:
        return 0 if self.evict is None else self.evict.observed_queries

    @property
    def scores_attention(self) -> bool:
        return self.evict is not None and self.evict.scores_attention

    @property
    def packing(self) -> Packing:
        keys: Axis = "token" if self.axis else "channel"
        values: Axis = "token" if self.layout == "kivi" else keys
        return Packing(self.bits, self.group_size, keys, values, LEVELS[self.layout])

    @property
    def compacts_at(self) -> int:
        """Native tokens at which a block is packed."""
        return self.sinks + self.residual + self.group_size

    @property
    def packed_budget(self) -> int:
        """Packed tokens that an eviction leaves; 0 without `evict`."""
        return 0 if self.evict is None else self.evict.budget - self.sinks - self.residual

    @property
    def evicts_at(self) -> int:
        """Packed tokens, in whole blocks, at which the first eviction happens."""
        return _blocks(self.packed_budget + self.evict.buffer, self.group_size) * self.group_size

    def evicts(self, packed: int) -> bool:
        """Whether a row with so many packed tokens is reduced to `packed_budget`."""
        return self.evict is not None and packed >= self.packed_budget + self.evict.buffer

    def held(self, tokens: int) -> Held:
        blocks = self.blocks(tokens)
        return Held(tokens - blocks * self.group_size, self.packed_after(blocks))

    def blocks(self, tokens: int) -> int:
        """Blocks that have been packed of so many tokens."""
        return max(0, (tokens - self.sinks - self.residual) // self.group_size)

    def packed_after(self, blocks: int) -> int:
        """Packed tokens that are left once `blocks` blocks have been packed."""
        if self.evict is None or blocks * self.group_size < self.evicts_at:
            return blocks * self.group_size
        return self.packed_budget + self.blocks_since_eviction(blocks) * self.group_size

    def blocks_since_eviction(self, blocks: int) -> int:
        """How many of `blocks` were packed after the last eviction."""
        first = self.evicts_at // self.group_size
        return (blocks - first) % self._evicted_blocks

    @property
    def _evicted_blocks(self) -> int:
        """Blocks that are packed between two evictions."""
        return _blocks(self.evict.buffer, self.group_size)

    def reserved(self, tokens: int) -> Held:
        packed = self.blocks(tokens) * self.group_size
        if self.evict is not None:
            packed = min(
                packed,
                max(self.evicts_at, self.packed_budget + self._evicted_blocks * self.group_size),
            )
        return Held(min(tokens, self.compacts_at), packed)


def _blocks(tokens: int, group_size: int) -> int:
    """Whole blocks that hold at least `tokens` tokens."""
    return -(-tokens // group_size)
