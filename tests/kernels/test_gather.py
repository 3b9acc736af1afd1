"""Moving a lane's chosen entries to the front, compared with what the torch engine's slots do."""

import pytest
import torch
from support.interpreted import counted

from actors.kernels.gather import ENTRIES, gather
from actors.kv_cache.parts import whole_row
from actors.kv_cache.slots import Lane, Slots

WIDTHS = (None, 1, 8, 20, 48, 80, 96, 128)


def a_lane(shape: tuple[int, ...], stored: torch.dtype, seed: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    return torch.randint(0, 250, shape, generator=made).to(stored)


def some_chosen(due: int, kv_heads: int, entries: int, count: int, seed: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    drawn = [torch.randperm(entries, generator=made)[:count] for _ in range(due * kv_heads)]
    return torch.stack(drawn).sort(-1).values.view(due, kv_heads, count).int()


def kept_in_torch(lane: torch.Tensor, rows: list[int], chosen: torch.Tensor) -> torch.Tensor:
    slots = Slots({"lane": Lane(lane.clone().unsqueeze(0))})
    for row, own in zip(rows, chosen, strict=True):
        slots.keep(whole_row(row), own.long().unsqueeze(0), lane.shape[2])
    return slots["lane"][0]


def check(lane: torch.Tensor, rows: list[int], chosen: torch.Tensor) -> None:
    """Every entry of the lane becomes as in the torch engine, also those that are not chosen."""
    expected = kept_in_torch(lane, rows, chosen)
    gather(lane, torch.tensor(rows, dtype=torch.int32), chosen)
    assert torch.equal(lane, expected)


# 8 widths x 4 types x 2 rows x 4 heads: 256 cases
@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16, torch.float32, torch.uint8])
@pytest.mark.parametrize("width", WIDTHS)
def test_any_lane_moves_as_in_the_torch_engine(stored: torch.dtype, width: int | None):
    shape = (3, 4, 150, *([] if width is None else [width]))
    check(a_lane(shape, stored, seed=1), [2, 0], some_chosen(2, 4, 150, 100, seed=2))


@pytest.mark.parametrize(
    "count", [1, 2, ENTRIES - 1, ENTRIES, ENTRIES + 1, 2 * ENTRIES, 1199, 1200]
)
def test_any_number_of_entries_moves(count: int):
    check(a_lane((1, 2, 1200, 8), torch.float32, 3), [0], some_chosen(1, 2, 1200, count, seed=4))


def test_the_newest_entries_alone_move():
    chosen = torch.arange(20, 900, dtype=torch.int32).expand(1, 2, 880)
    check(a_lane((1, 2, 900, 16), torch.bfloat16, 5), [0], chosen.contiguous())


def test_no_row_is_due():
    check(a_lane((2, 2, 9, 8), torch.float32, 6), [], torch.empty(0, 2, 4, dtype=torch.int32))


def test_a_lane_is_a_view_of_the_cache():
    cache = a_lane((4, 3, 2, 90, 16), torch.bfloat16, 7)  # [layers, rows, kv_heads, entries, width]
    before = cache.clone()
    check(cache[2], [1], some_chosen(1, 2, 90, 50, seed=8))
    others = [0, 1, 3]
    assert torch.equal(cache[others], before[others])


def test_entries_that_stay_in_place_are_not_touched():
    lane, chosen = a_lane((1, 1, 200, 64), torch.bfloat16, 9), torch.arange(100).int()
    chosen[60:] += 5
    with counted() as traffic:
        gather(lane, torch.tensor([0], dtype=torch.int32), chosen.view(1, 1, 100))
    parts, moved = 2, 40 * 128
    assert traffic.loaded == parts * (4 * 100 + 4) + moved  # each program reads its row's index
    assert traffic.stored == moved
