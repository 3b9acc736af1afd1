"""`received_attention`: what each token has received is added to its sum."""

import pytest
import torch
from support.attention_cases import assert_close, normal
from support.interpreted import counted

from actors.kernels import received_attention as module
from actors.kernels.received_attention import received_attention

LENGTHS = torch.tensor([0, 1, 64, 33, 50, 17]).int()
PACKED = torch.tensor([96, 0, 31, 64, 1, 7]).int()
SLOTS = torch.tensor([0, 5, 3, -1, 2, 31]).int()
NATIVE, TOTAL, KV_HEADS = 64, 64 + 96, 2


def sums(seed: int, slots: int) -> torch.Tensor:
    return normal(seed, len(SLOTS), KV_HEADS, slots).abs()


# 7 groups x 6 rows x 2 KV heads, native and packed: 168 cases of up to 96 tokens; 84 without packed slots.
@pytest.mark.parametrize("group", [1, 2, 3, 4, 5, 7, 8])
def test_the_attention_of_all_query_heads_is_added(group: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "BLOCK", 32)
    logits = normal(1, len(SLOTS), KV_HEADS, group, TOTAL) * 3
    lse = normal(2, len(SLOTS), KV_HEADS * group)
    native, packed = sums(3, NATIVE), sums(4, TOTAL - NATIVE)
    received_attention(logits, lse, SLOTS, native, LENGTHS, packed, PACKED)
    weights = (logits.double() - lse.double().view(-1, KV_HEADS, group, 1)).exp2().sum(2)
    expected = [sums(3, NATIVE).double(), sums(4, TOTAL - NATIVE).double()]
    for row, (length, packed_length) in enumerate(zip(LENGTHS, PACKED, strict=True)):
        if SLOTS[row] >= 0:
            expected[0][row, :, :length] += weights[row, :, :length]
            expected[1][row, :, :packed_length] += weights[row, :, NATIVE : NATIVE + packed_length]
    assert_close(native, expected[0], 1e-6)
    assert_close(packed, expected[1], 1e-6)
    alone = sums(3, NATIVE)
    received_attention(logits[..., :NATIVE].contiguous(), lse, SLOTS, alone, LENGTHS)
    assert torch.equal(alone, native), "with or without packed slots"


def test_traffic_is_as_stated():
    group, tokens, moving = 4, [700, 40, 9], [0, 1, -1]
    lengths, slots = torch.tensor(tokens).int(), torch.tensor(moving).int()
    logits, lse = normal(1, 3, 1, group, 1024), normal(2, 3, group)
    attention = torch.zeros(3, 1, 1024)
    with counted() as traffic:
        received_attention(logits, lse, slots, attention, lengths)
    held, blocks_held, blocks = 740, 3, 2 * 2
    assert traffic.loaded == held * (group + 1) * 4 + blocks_held * group * 4 + blocks * 8 + 2 * 4
    assert traffic.stored == held * 4
