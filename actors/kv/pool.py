"""Where keys and values lie: one preallocated block of slots for every row of the batch.

A policy says into which slot a token goes and how many slots a row then holds; the pool does the rest.
Rows are kept dense (the running ones come first), so that a step works on slices without gathering.
Keys are stored rotated to their true position, which is independent of the slot.
"""

from dataclasses import dataclass
from typing import Protocol

import torch

from raysweep.spec import Architecture

SLOT_BLOCK = 64  # lengths are rounded up to this, so that kernels see few shapes


class SlotPolicy(Protocol):
    """The tensor side of a KV policy."""

    def slots(self, positions: torch.Tensor) -> torch.Tensor:
        """The slot of the token at each position (any shape, int64)."""
        ...

    def kept(self, tokens: int) -> int:
        """Slots held once `tokens` tokens have been seen."""
        ...


@dataclass(frozen=True)
class PromptKV:
    """A prompt's keys and values, both [layers, kv_heads, tokens, head_dim]."""

    keys: torch.Tensor
    values: torch.Tensor


class KVPool:
    """Keys and values of `rows` sequences, each [layers, rows, kv_heads, capacity, head_dim]."""

    def __init__(
        self,
        architecture: Architecture,
        policy: SlotPolicy,
        rows: int,
        dtype: torch.dtype,
        device: torch.device,
    ):
        a = architecture
        self.policy = policy
        self.rows = rows
        self.capacity = 0
        shape = (a.layers, rows, a.kv_heads, 0, a.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype, device=device)
        self.values = torch.zeros_like(self.keys)

    def reserve(self, tokens: int) -> None:
        """Make room for rows that see up to `tokens` tokens; keeps what is there."""
        needed = round_up(self.policy.kept(tokens), SLOT_BLOCK)
        if needed <= self.capacity:
            return
        padding = (0, 0, 0, needed - self.capacity)
        self.keys = torch.nn.functional.pad(self.keys, padding)
        self.values = torch.nn.functional.pad(self.values, padding)
        self.capacity = needed

    def write_prompt(self, row: int, prompt: PromptKV) -> None:
        """Start a row from a prompt: what the policy keeps of it, each token in its slot."""
        tokens = prompt.keys.shape[2]
        slots = self.policy.slots(torch.arange(tokens, device=self.keys.device))
        # Of the tokens that share a slot the newest stays.
        newest = torch.full((self.policy.kept(tokens),), -1, device=slots.device)
        newest = newest.scatter_reduce(0, slots, torch.arange(tokens, device=slots.device), "amax")
        self.keys[:, row, :, : len(newest)] = prompt.keys[:, :, newest]
        self.values[:, row, :, : len(newest)] = prompt.values[:, :, newest]

    def append(
        self, layer: int, slots: torch.Tensor, keys: torch.Tensor, values: torch.Tensor
    ) -> None:
        """Write one token of each of the first n rows; slots [n], keys and values [n, kv_heads, head_dim]."""
        rows = torch.arange(len(slots), device=slots.device)
        self.keys[layer][rows, :, slots] = keys.to(self.keys.dtype)
        self.values[layer][rows, :, slots] = values.to(self.values.dtype)

    def read(
        self, layer: int, rows: int, length: int, dtype: torch.dtype
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Keys and values of the first `rows` rows, [rows, kv_heads, length, head_dim]."""
        keys = self.keys[layer, :rows, :, :length].to(dtype)
        return keys, self.values[layer, :rows, :, :length].to(dtype)

    def copy(self, source: int, target: int, tokens: int) -> None:
        """Make row `target` equal to `source`, which has seen `tokens` tokens."""
        kept = self.policy.kept(tokens)
        self.keys[:, target, :, :kept] = self.keys[:, source, :, :kept]
        self.values[:, target, :, :kept] = self.values[:, source, :, :kept]

    def row_bytes(self, tokens: int) -> int:
        """Bytes that a row which has seen `tokens` tokens holds, counted from the tensors."""
        layers, _, kv_heads, _, head_dim = self.keys.shape
        elements = layers * kv_heads * self.policy.kept(tokens) * head_dim
        return elements * (self.keys.element_size() + self.values.element_size())


def round_up(value: int, multiple: int) -> int:
    return -(-value // multiple) * multiple
