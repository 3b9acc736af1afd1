"""quantized: old tokens are packed to 8, 4 or 2 bits, the newest stay in 16 bit; optionally with eviction.

A row that holds `residual + group_size` native tokens packs the oldest `group_size` of them, each once:

    code = round((x - zero) / scale),  x' = code * scale + zero
    zero = min x,  scale = (max x - min x) / (2^bits - 1)    in 16 bit, per group; if symmetric, -min x and
                                                             max x are both max |x|, and zero is not stored

`layout` says which numbers form a group:

    channel   keys and values: `group_size` tokens of one channel, symmetric (HQQ's per-channel form,
              Badri & Shaji 2023; arXiv 2510.10964 uses it with group 64, residual 128)
    kivi      keys: tokens of one channel, values: channels of one token, asymmetric (Liu et al.,
              arXiv 2402.02750)
    token     keys and values: channels of one token, symmetric, so that a packed token can be moved

With `evict`, that policy's scores say which packed tokens are evicted. Packed tokens then move, and they
are never packed twice, so the layout must be `token`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from actors.kv.protocols import ScoringPolicy
from raysweep.kv_policy import Held, Packing

Layout = Literal["channel", "kivi", "token"]


@dataclass(frozen=True)
class Quantized:
    """A `PackingPolicy`.

    bits        per packed number: 2, 4 or 8; no default
    group_size  tokens per packed block, and numbers that share a scale (channels per group: at most a
                head's), a multiple of 8; default 64
    residual    newest tokens that always stay in 16 bit (up to `group_size` more wait there); default 128
    layout      channel, kivi or token, see above; default channel
    evict       a `ScoringPolicy` whose budget, in tokens, includes the residual; default None, which
                keeps all tokens
    """

    bits: int
    group_size: int = 64
    residual: int = 128
    layout: Layout = "channel"
    evict: Any = None  # a configuration reads a parameter of this type as a policy

    def __post_init__(self) -> None:
        if self.bits not in (2, 4, 8):
            raise ValueError(f"bits: {self.bits} is not known; known: 2, 4, 8")
        if self.group_size < 8 or self.group_size % 8:
            raise ValueError(f"group_size: {self.group_size} is not a multiple of 8; write one")
        if self.layout not in ("channel", "kivi", "token"):
            raise ValueError(f"layout: {self.layout!r} is not known; known: channel, kivi, token")
        if self.residual < max(1, self.observed_queries):
            raise ValueError(
                f"residual: {self.residual} is too small; write {max(1, self.observed_queries)} or more"
            )
        if self.evict is not None:
            self._check_evict()

    def _check_evict(self) -> None:
        if not isinstance(self.evict, ScoringPolicy):
            raise ValueError("evict: that policy scores no tokens; choose an evicting one")
        if self.layout != "token":
            raise ValueError(f"layout: {self.layout!r} packs tokens together; write token")
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
        if self.evict.budget <= self.residual:
            raise ValueError(
                f"evict.budget: {self.evict.budget} leaves no token besides the residual of "
                f"{self.residual}; raise it"
            )

    @property
    def slug(self) -> str:
        """`quantized-4`, `kivi-4`, `r_kv-256_quantized-4`, then every value that is not the default."""
        name = "kivi" if self.layout == "kivi" else "quantized"
        changes = [] if self.group_size == 64 else [f"g{self.group_size}"]
        changes += [] if self.residual == 128 else [f"r{self.residual}"]
        changes += ["token"] if self.layout == "token" and self.evict is None else []
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
        return Packing(
            self.bits,
            self.group_size,
            key_axis="token" if self.layout == "token" else "channel",
            value_axis="channel" if self.layout == "channel" else "token",
            symmetric=self.layout != "kivi",
        )

    @property
    def compacts_at(self) -> int:
        """Native tokens at which a block is packed."""
        return self.residual + self.group_size

    @property
    def packed_budget(self) -> int:
        """Packed tokens that an eviction leaves; 0 without `evict`."""
        return 0 if self.evict is None else self.evict.budget - self.residual

    @property
    def evicts_at(self) -> int:
        """Packed tokens, in whole blocks, at which the first eviction happens."""
        return _blocks(self.packed_budget + self.evict.buffer, self.group_size) * self.group_size

    def evicts(self, packed: int) -> bool:
        """Whether a row with so many packed tokens is reduced to `packed_budget`."""
        return self.evict is not None and packed >= self.packed_budget + self.evict.buffer

    def held(self, tokens: int) -> Held:
        blocks = max(0, (tokens - self.residual) // self.group_size)
        native = tokens - blocks * self.group_size
        return Held(native, self.packed_after(blocks))

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
        blocks = max(0, (tokens - self.residual) // self.group_size)
        packed = blocks * self.group_size
        if self.evict is not None:
            packed = min(
                packed,
                max(self.evicts_at, self.packed_budget + self._evicted_blocks * self.group_size),
            )
        return Held(min(tokens, self.compacts_at), packed)


def _blocks(tokens: int, group_size: int) -> int:
    """Whole blocks that hold at least `tokens` tokens."""
    return -(-tokens // group_size)
