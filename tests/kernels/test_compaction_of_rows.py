"""Rows compacted by kernels, layer by layer and several at once, against rows compacted by torch."""

import pytest
import torch
from support.kv_streams import EXAMPLES, Stream, a_cache, an_architecture, begin, feed

from actors import kernels
from actors.kv.full import Full
from actors.kv.protocols import RingPolicy
from actors.kv_cache.cache import KVCache
from actors.kv_cache.compaction import view
from actors.kv_cache.parts import whole_row
from actors.kv_cache.rollback import restore, save

COMPACTED = [p for p in EXAMPLES if p != Full() and not isinstance(p, RingPolicy)]
STEPS = 20
PROMPTS = (7, 7, 20)  # two rows are due in the same steps, and one in others
by_slug = pytest.mark.parametrize("policy", COMPACTED, ids=lambda policy: policy.slug)


def run(policy, steps: int, forks: bool = False) -> KVCache:
    architecture = an_architecture(head_dim=16)
    cache = a_cache(policy, architecture, rows=3)
    streams = [Stream(seed, architecture) for seed in range(3)]
    for row, tokens in enumerate(PROMPTS):
        begin(cache, row, streams[row], tokens)
    for count in range(steps):
        if forks and count % 8 == 0:
            saved = [save(cache, row, ahead=9) for row in range(3)]
            for _ in range(9):
                feed(cache, [Stream(9, architecture)] * 3)
            for row in range(3):
                restore(cache, row, saved[row])
        feed(cache, streams)
    return cache


def close(found: torch.Tensor, expected: torch.Tensor) -> bool:
    """Within the rounding of a 16-bit zero point, but for one code in 500, which may lie on a half."""
    different = (found.float() - expected.float()).abs() > 2**-9 * expected.float().abs().max()
    return bool(different.float().mean() <= 2e-3)


@by_slug
def test_kernels_keep_what_torch_keeps(policy, monkeypatch):
    expected = run(policy, STEPS)
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    found = run(policy, STEPS)
    assert found.extents == expected.extents
    monkeypatch.setattr(kernels, "DEVICES", {"cuda"})
    for row in range(3):
        one, other = view(found, whole_row(row)), view(expected, whole_row(row))
        assert close(one.keys, other.keys)
        assert policy.scores_attention == (one.attention is not None)
        if one.attention is not None and other.attention is not None:
            assert close(one.attention, other.attention)
        held = zip(found.held(row), expected.held(row), strict=True)
        assert all(close(here, there) for here, there in held)


@pytest.mark.parametrize("policy", COMPACTED[::3], ids=lambda policy: policy.slug)
def test_a_fork_leaves_no_trace_under_kernels(policy, monkeypatch):
    monkeypatch.setattr(kernels, "DEVICES", {"cpu"})
    calm, forked = run(policy, 12), run(policy, 12, forks=True)
    assert calm.extents == forked.extents
    for row in range(3):
        assert all(map(torch.equal, calm.held(row), forked.held(row)))
