"""What an engine asks of a policy that does not keep every token as it is, beyond `KVPolicy`.

A row's cache differs from the full one in one of three ways. A policy chooses by what it offers:

    RingPolicy      a new token overwrites an old one: `slot` says which
    EvictingPolicy  at `compacts_at` native tokens, those with the lowest `scores` are dropped
    PackingPolicy   at `compacts_at` native tokens, the oldest block is packed to few bits

A packing policy may hold a `ScoringPolicy`, which then evicts packed tokens. A policy that offers none
of these keeps every token in its own slot. Classes need not inherit from these protocols.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from raysweep.kv_policy import KVPolicy, Packing, keeps_all

if TYPE_CHECKING:
    import torch

    from actors.kv.eviction import Row


@runtime_checkable
class RingPolicy(KVPolicy, Protocol):
    """The window is a ring: the slot of a token follows from its position alone."""

    def slot(self, position: int) -> int:
        """The native slot of the token at `position`, which begins at 0."""
        ...


@runtime_checkable
class ScoringPolicy(KVPolicy, Protocol):
    """Says how much each token is worth keeping. All numbers are tokens, per layer and KV head.

    budget  tokens that an eviction leaves
    buffer  tokens that a row takes up beyond its budget before the next eviction
    sinks   oldest tokens that always stay, because their scores are the highest; 0 if there are none
    window  newest tokens that always stay
    """

    @property
    def budget(self) -> int: ...

    @property
    def buffer(self) -> int: ...

    @property
    def sinks(self) -> int: ...

    @property
    def window(self) -> int: ...

    def scores(self, row: Row) -> torch.Tensor:
        """[n, kv_heads, tokens], the highest for the most valuable; oldest token first.

        The newest `window` tokens need no score: [n, kv_heads, tokens - window] will do.
        """
        ...


@runtime_checkable
class EvictingPolicy(ScoringPolicy, Protocol):
    """Drops native tokens. `compacts_at`: native tokens of a row at which this happens."""

    @property
    def compacts_at(self) -> int: ...


@runtime_checkable
class PackingPolicy(KVPolicy, Protocol):
    """Packs native tokens in blocks, and may evict packed ones.

    compacts_at    native tokens of a row at which its oldest block is packed
    sinks          oldest tokens, which stay native
    group_size     tokens per block
    evict          scores the packed tokens; None if they all stay
    packed_budget  packed tokens that an eviction leaves
    """

    @property
    def packing(self) -> Packing: ...

    @property
    def compacts_at(self) -> int: ...

    @property
    def sinks(self) -> int: ...

    @property
    def group_size(self) -> int: ...

    @property
    def evict(self) -> ScoringPolicy | None: ...

    @property
    def packed_budget(self) -> int: ...

    def evicts(self, packed: int) -> bool:
        """Whether a row with `packed` packed tokens is to be reduced to its budget."""
        ...


def check_complete(policy: KVPolicy) -> None:
    """Raise ValueError if a policy drops or packs tokens without saying how an engine is to do it."""
    if keeps_all(policy) or isinstance(policy, RingPolicy | EvictingPolicy | PackingPolicy):
        return
    raise ValueError(
        f"{policy.slug}: this policy does not keep every token as it is, so an engine needs its `slot`, or "
        f"its `compacts_at` with the rest of an EvictingPolicy or PackingPolicy; see {__name__}"
    )
