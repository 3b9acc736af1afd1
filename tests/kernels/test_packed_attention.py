"""`packed_attention`: attention of one token per row over slots that are packed to 2, 4 or 8 bits."""

from itertools import product

import pytest
import torch
from support.attention_cases import assert_close, attended, normal
from support.interpreted import counted
from support.packed_lanes import LAYOUTS, Lanes, numbers_of, packed_lanes, packing_of, random_lanes

from actors.kernels import packed_attention as module
from actors.kernels.join_attention import join_attention
from actors.kernels.packed_attention import packed_attention, packed_split, packed_splits
from raysweep.kv_policy import Packing
from raysweep.memory import packed_bytes

BITS = (2, 4, 8)
NONE = torch.zeros(8, dtype=torch.int32)


def run(
    q: torch.Tensor, lanes: Lanes, packing: Packing, lengths: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The attention and the log-sum-exp of each row."""
    n, heads, head_dim = q.shape
    rows, kv_heads, capacity, _ = lanes["key_codes"].shape
    shape = (rows, kv_heads, packed_splits(packing, capacity), heads // kv_heads)
    results, lse = torch.full((*shape, head_dim), torch.nan), torch.full(shape, torch.nan)
    packed_attention(q, lanes, packing, lengths, results, lse)
    out, total = torch.empty(n, heads * head_dim, dtype=q.dtype), torch.empty(rows, heads)
    join_attention(results, lse, NONE, 1, out, total, lengths, packed_split(packing), 0)
    return out, total[:n]


def held_tokens(packing: Packing, tokens: list[int]) -> torch.Tensor:
    """So many tokens, in whole groups where these cannot be parted."""
    whole = packing.group_size if "channel" in (packing.key_axis, packing.value_axis) else 1
    return torch.tensor([each // whole * whole for each in tokens], dtype=torch.int32)


def spoiled(lanes: Lanes, packing: Packing, lengths: torch.Tensor) -> Lanes:
    """The lanes with scales that are NaN beyond each row's tokens."""
    for name, lane in lanes.items():
        axis = packing.key_axis if name.startswith("key") else packing.value_axis
        for row, length in enumerate(lengths.tolist()):
            if not name.endswith("codes"):
                lane[row, :, length // (packing.group_size if axis == "channel" else 1) :] = (
                    torch.nan
                )
    return lanes


SHAPES = (
    *((128, 64, 4), (128, 128, 4), (64, 32, 2), (32, 16, 7)),
    *((16, 8, 1), (80, 40, 8), (96, 24, 3), (8, 64, 5)),
)  # head dimension, group size, query heads per KV head
CASES = list(product(SHAPES, BITS, LAYOUTS))[::4]  # each layout at each of the bits in two shapes

# The weights are rounded to 16 bit, and so is the result, by at most 2**-8 each.
TOLERANCES = {torch.float32: 1e-5, torch.bfloat16: 1.5 * 2**-8}


# 30 of these x 2 types x 2 rows with tokens x 1 to 8 query heads: 510 cases, a head of a row each.
@pytest.mark.parametrize(("shape", "bits", "layout"), CASES)
def test_each_row_attends_to_the_tokens_that_it_holds(
    shape: tuple[int, int, int], bits: int, layout: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "SPLIT", 128)
    head_dim, group_size, group = shape
    packing = packing_of(layout, bits, group_size)
    lengths = held_tokens(packing, [0, 129, 64])
    lanes = spoiled(random_lanes(packing, 3, 1, 129, head_dim, seed=bits), packing, lengths)
    for dtype, tolerance in TOLERANCES.items():
        q = normal(1, 3, group, head_dim, dtype=dtype)
        out, lse = run(q, lanes, packing, lengths)
        assert not out[0].any() and lse[0].isneginf().all(), "a row that holds nothing gets zeros"
        for row, length in enumerate(lengths.tolist()):
            if length:
                sides = (numbers_of(lanes, packing, side, row, length) for side in ("key", "value"))
                expected = attended(q[row], *sides)
                assert_close(out[row], expected.result, tolerance)
                assert_close(lse[row], expected.lse, tolerance)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_packed_numbers_are_those_of_the_cache(layout: str):
    packing = packing_of(layout, 4, 32)
    keys, values = (normal(seed, 2, 2, 96, 64) + 1 for seed in (2, 3))
    lanes = packed_lanes(packing, keys, values)
    q, lengths = normal(1, 2, 6, 64), torch.tensor([96, 64], dtype=torch.int32)
    out, _ = run(q, lanes, packing, lengths)
    for row, length in enumerate(lengths.tolist()):
        held = [numbers_of(lanes, packing, side, row, length) for side in ("key", "value")]
        assert (held[0] - keys[row, :, :length]).abs().mean() < 0.15, "packed for this test"
        assert_close(out[row], attended(q[row], *held).result, 1e-5)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_no_bit_of_an_8_bit_code_is_lost(layout: str):
    packing = packing_of(layout, 8, 64)
    lanes = random_lanes(packing, 1, 1, 64, 128, seed=4)
    for name, lane in lanes.items():
        if not name.endswith("codes"):
            lane.fill_({"scales": 2**-6, "zeros": 0.5}[name.split("_")[1]])
    lanes["value_codes"].random_(1, 255).bitwise_or_(1)  # of which bf16 would lose the last bit
    q = torch.zeros(1, 1, 128, dtype=torch.bfloat16)  # equal weights
    lengths = torch.tensor([1 if packing.value_axis == "token" == packing.key_axis else 64])
    values = numbers_of(lanes, packing, "value", 0, int(lengths))
    shape = (1, 1, 1, 1)
    results, lse = torch.empty(*shape, 128), torch.empty(shape)
    packed_attention(q, lanes, packing, lengths.int(), results, lse)
    assert_close(results.flatten(), values.mean(1).flatten(), 1e-6)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_rows_result_does_not_depend_on_its_neighbours_or_on_the_capacity(
    layout: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(module, "SPLIT", 32)
    packing = packing_of(layout, 2, 32)
    lanes = random_lanes(packing, 3, 1, 128, 16, seed=5)
    lengths = torch.tensor([32, 128, 64], dtype=torch.int32)
    q = normal(1, 3, 2, 16, dtype=torch.bfloat16)
    together, _ = run(q, lanes, packing, lengths)
    shorter = {name: lane[2:, :, : lane.shape[2] // 2].contiguous() for name, lane in lanes.items()}
    alone, _ = run(q[2:], shorter, packing, lengths[2:])
    assert torch.equal(together[2:], alone)
    first, _ = run(q[:1], lanes, packing, lengths[:1])
    assert torch.equal(together[:1], first), "fewer rows than the cache has"


def test_logits_are_stored_behind_the_native_ones():
    packing = packing_of("hqq", 8, 64)
    lanes = random_lanes(packing, 2, 2, 64, 32, seed=6)
    lengths = torch.tensor([50, 3], dtype=torch.int32)
    q, shape = normal(1, 2, 4, 32), (2, 2, 1, 2)
    logits = torch.full((2, 2, 2, 100), -1.0)
    results, lse = torch.empty(*shape, 32), torch.empty(shape)
    packed_attention(q, lanes, packing, lengths, results, lse, 0, logits, 20)
    for row, length in enumerate(lengths.tolist()):
        weights = torch.exp2(logits[row, ..., 20 : 20 + length] - lse[row, :, 0, :, None])
        sides = (numbers_of(lanes, packing, side, row, length) for side in ("key", "value"))
        assert_close(weights.flatten(0, 1), attended(q[row], *sides).weights, 1e-5)
        assert (logits[row, ..., :20] == -1).all() and (logits[row, ..., 20 + length :] == -1).all()


@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_traffic_is_as_stated(layout: str, bits: int):
    packing, group, head_dim, tokens = packing_of(layout, bits, 64), 4, 128, [128, 0, 64]
    lanes = random_lanes(packing, 3, 1, 128, head_dim, seed=7)
    q = normal(1, 3, group, head_dim, dtype=torch.bfloat16)
    results, lse = torch.empty(3, 1, 1, group, head_dim), torch.empty(3, 1, 1, group)
    lengths = torch.tensor(tokens, dtype=torch.int32)
    with counted() as attention:
        packed_attention(q, lanes, packing, lengths, results, lse)
    held = sum(packed_bytes(packing, each, head_dim) for each in tokens)
    assert attention.loaded == held + 2 * group * head_dim * 2 + 3 * 4
    assert attention.stored == 2 * group * (head_dim + 1) * 4
