"""The tokens that a compaction keeps, compared with the torch engine's choice."""

import random

import pytest
import torch
from support.interpreted import counted

from actors.kernels.keep_best import keep_best
from actors.kv.eviction import best


def expected(scores: torch.Tensor, count: int, window: int) -> torch.Tensor:
    older = scores.shape[2]
    newest = torch.arange(older, older + window)
    return torch.cat([best(scores, count), newest.expand(*scores.shape[:2], -1)], -1)


def check(scores: torch.Tensor, count: int, window: int) -> None:
    chosen = keep_best(scores, count, window)
    assert chosen.dtype == torch.int32
    assert torch.equal(chosen.long(), expected(scores, count, window))


def scores_of(kind: str, *shape: int, seed: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(seed)
    scores = torch.randn(shape, generator=made)
    if kind == "few":  # pooled scores: many are equal
        return (2 * scores).round() / 2
    if kind == "negative":
        return -scores.abs() - 1
    if kind == "wide":  # of all magnitudes, also subnormal ones
        return scores * 10.0 ** torch.randint(-44, 38, shape, generator=made)
    return scores


# 4 kinds x 10 shapes x 6 heads: 240 cases
@pytest.mark.parametrize("kind", ["any", "few", "negative", "wide"])
def test_any_scores_choose_as_in_the_torch_engine(kind: str):
    drawn = random.Random(kind)
    for seed in range(10):
        older = drawn.choice([1, 2, 31, 32, 33, 100, 500, 1000, 5000])
        count, window = drawn.randint(1, older), drawn.choice([0, 1, 8, 20])
        check(scores_of(kind, 2, 3, older, seed=seed), count, window)


def test_of_equal_scores_the_oldest_are_kept():
    chosen = keep_best(torch.zeros(1, 1, 50), 3, 2)
    assert chosen[0, 0].tolist() == [0, 1, 2, 50, 51]


def test_zero_and_minus_zero_are_equal():
    check(torch.tensor([[[-0.0, 0.0, -1.0, 0.0, -0.0, 1.0]]]), 3, 1)


def test_infinite_scores_are_the_highest_and_the_lowest():
    inf = torch.inf
    scores = torch.tensor([[[0.0, -inf, 3.4e38, -inf, inf, -3.4e38, inf]]])
    for count in range(1, 8):
        check(scores, count, 0)


def test_scores_may_be_a_part_of_longer_ones():
    check(scores_of("any", 2, 3, 100, seed=1)[..., 7:90], 40, 0)


def test_every_score_is_read_five_times():
    with counted() as traffic:
        keep_best(torch.randn(2, 3, 700), 300, 8)
    assert traffic.loaded == 5 * 6 * 4 * 700
    assert traffic.stored == 6 * 4 * 308
