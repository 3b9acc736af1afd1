"""Rows compacted by the kernels together keep the tokens that the papers' slow twins keep."""

import numpy as np
import pytest
import torch
from support.kv_policy_twins import Kept, kept_by_r_kv, kept_by_snap_kv

from actors.kernels.gather import gather
from actors.kernels.keep_best import keep_best
from actors.kernels.observed_attention import observed_attention
from actors.kernels.redundancy import redundancy
from actors.kv.eviction import Row, smoothed
from actors.kv.r_kv import RKV
from actors.kv.snap_kv import SnapKV

KV_HEADS, GROUP, TOKENS, HEAD_DIM = 2, 2, 100, 16


def scores(policy: SnapKV, keys: torch.Tensor, queries: torch.Tensor, rows: torch.Tensor):
    """What `policy.scores` gives, by the kernels."""
    importance = observed_attention(keys, queries, policy.window, rows)
    importance = smoothed(importance, policy.kernel)
    if not isinstance(policy, RKV):
        return importance
    copied = redundancy(keys, rows)[..., : importance.shape[-1]]
    return policy.importance_weight * importance - (1 - policy.importance_weight) * copied


def kept_by_kernels(policy: SnapKV, keys: torch.Tensor, queries: torch.Tensor) -> Kept:
    """Decode token by token, in the second row of a lane, beside one that holds nothing.

    keys [kv_heads, tokens, head_dim], queries [kv_heads, group, tokens, head_dim]
    """
    lane = torch.zeros(2, KV_HEADS, policy.compacts_at, HEAD_DIM)
    places = torch.zeros(2, KV_HEADS, policy.compacts_at)
    rows, held, history = torch.tensor([1], dtype=torch.int32), 0, []
    for token in range(keys.shape[1]):
        lane[1, :, held], places[1, :, held] = keys[:, token], token
        held += 1
        if held == policy.compacts_at:
            newest = queries[None, :, :, token + 1 - policy.window : token + 1]
            found = scores(policy, lane[:, :, :held], newest, rows)
            chosen = keep_best(found, policy.budget - policy.window, policy.window)
            for each in (lane, places):
                gather(each, rows, chosen)
            held = policy.budget
        history.append(places[1, :, :held].int().tolist())
    return history


@pytest.mark.parametrize("seed", range(3))
def test_rows_keep_what_the_papers_keep(seed: int):
    made = np.random.default_rng(seed)
    keys = made.normal(size=(KV_HEADS, TOKENS, HEAD_DIM))
    keys[:, TOKENS // 3 :: 3] = keys[:, : len(keys[0, TOKENS // 3 :: 3])] + 0.1
    queries = made.normal(size=(KV_HEADS, GROUP, TOKENS, HEAD_DIM))
    keys, queries = keys.astype(np.float32), queries.astype(np.float32)
    sizes = {"budget": 32, "window": 4, "buffer": 16, "kernel": 3}
    tensors = torch.from_numpy(keys), torch.from_numpy(queries)
    keys, queries = keys.astype(np.float64), queries.astype(np.float64)
    expected = kept_by_snap_kv(keys, queries, **sizes)
    assert kept_by_kernels(SnapKV(**sizes), *tensors) == expected
    expected = kept_by_r_kv(keys, queries, **sizes, importance_weight=0.3)
    assert kept_by_kernels(RKV(**sizes, importance_weight=0.3), *tensors) == expected


def test_the_scores_are_those_of_the_policy_in_torch():
    made = torch.Generator().manual_seed(1)
    keys = torch.randn(3, 2, 300, 32, generator=made).bfloat16()
    queries = torch.randn(3, 2, 4, 8, 32, generator=made).bfloat16()
    policy, rows = RKV(128), torch.arange(3, dtype=torch.int32)
    expected = policy.scores(Row(keys.float(), queries.float(), None))
    found = scores(policy, keys, queries, rows)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
