"""Attention in 64 bit, as the kernels are compared with it, and how far they may be off."""

from typing import NamedTuple

import torch

TOLERANCE = {torch.float32: 1e-5, torch.bfloat16: 2**-8}  # relative to the largest magnitude


class Attended(NamedTuple):
    """Of one row: result [heads * head_dim], log-sum-exp [heads] to base 2, weights [heads, tokens]."""

    result: torch.Tensor
    lse: torch.Tensor
    weights: torch.Tensor


def attended(q: torch.Tensor, keys: torch.Tensor, values: torch.Tensor) -> Attended:
    """q [heads, head_dim], keys and values [kv_heads, tokens, head_dim]; no tokens give zeros."""
    group = len(q) // len(keys)
    keys, values = (each.double().repeat_interleave(group, 0) for each in (keys, values))
    logits = (keys @ q.double()[:, :, None])[..., 0] * q.shape[-1] ** -0.5
    weights = logits.softmax(-1)
    result = (weights[:, None] @ values)[:, 0].flatten()
    return Attended(result, logits.logsumexp(-1) / torch.tensor(2.0).log(), weights)


def assert_close(actual: torch.Tensor, expected: torch.Tensor, tolerance: float) -> None:
    """Equal up to a part of the largest magnitude that is expected."""
    off = (actual.double() - expected).abs().max()
    assert off <= tolerance * expected.abs().max(), (float(off), float(expected.abs().max()))


def normal(seed: int, *shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed)).to(dtype)


def beyond(tensor: torch.Tensor, lengths: torch.Tensor) -> torch.Tensor:
    """The tensor [rows, kv_heads, slots, ...] with NaN in the slots beyond each row's length."""
    for row, length in enumerate(lengths.tolist()):
        tensor[row, :, length:] = float("nan")
    return tensor
