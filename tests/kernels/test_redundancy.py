"""R-KV's redundancy, compared with the torch engine's and with the slow twin of the paper."""

import numpy as np
import pytest
import torch
from support.interpreted import counted
from support.kv_policy_twins import redundancy as redundancy_in_loops

from actors.kernels.key_sums import key_sums
from actors.kernels.newest_alike import newest_alike, passing
from actors.kernels.redundancy import bytes_moved, flops, redundancy
from actors.kv import r_kv

HEAD_DIMS = (8, 16, 32, 64, 80, 96, 128)


def some_keys(*shape: int, seed: int, alike: float = 0.5) -> torch.Tensor:
    """Random keys; a share `alike` of a head's are noisy copies of a few, so they resemble each other."""
    made = torch.Generator().manual_seed(seed)
    keys = torch.randn(*shape, generator=made)
    copied = torch.randint(0, max(1, shape[2] // 8), shape[:3], generator=made)
    of = keys.gather(2, copied[..., None].expand(shape))
    copies = of + 0.3 * torch.randn(*shape, generator=made)
    return torch.where(torch.rand(*shape[:3], 1, generator=made) < alike, copies, keys)


def newest_in_torch(keys: torch.Tensor) -> torch.Tensor:
    directions = keys.double() / (keys.double().norm(dim=-1, keepdim=True) + r_kv.TINY)
    cosines = directions @ directions.transpose(-1, -2)
    cosines.diagonal(dim1=-2, dim2=-1).zero_()
    return torch.where(cosines > r_kv.SIMILAR, torch.arange(keys.shape[2]), 0).amax(-1)


def close(actual: torch.Tensor, expected: torch.Tensor) -> bool:
    """Within 1e-5 of the largest magnitude."""
    return bool((actual - expected).abs().max() <= 1e-5 * expected.abs().max())


# 7 head sizes x 2 types x 16 heads: 224 cases
@pytest.mark.parametrize("head_dim", HEAD_DIMS)
@pytest.mark.parametrize("stored", [torch.float32, torch.bfloat16])
def test_any_head_gets_the_redundancy_of_the_torch_engine(head_dim: int, stored: torch.dtype):
    for tokens in (1, 2, 41, 130):
        keys = some_keys(2, 2, tokens, head_dim, seed=head_dim + tokens).to(stored)
        assert close(redundancy(keys), r_kv.redundancy(keys.float()))


# n = 3 and n = 4 tiles of 256 keys
@pytest.mark.parametrize("tokens", [600, 1000])
def test_tokens_of_all_tiles_meet(tokens: int):
    keys = some_keys(1, 1, tokens, 16, seed=tokens).bfloat16()
    norms, _ = key_sums(keys, torch.tensor([0], dtype=torch.int32))
    newest = newest_alike(keys, torch.tensor([0], dtype=torch.int32), norms)
    assert (newest == newest_in_torch(keys)).all()
    assert close(redundancy(keys), r_kv.redundancy(keys.float()))


def test_it_is_that_of_the_paper():
    keys = some_keys(1, 1, 40, 16, seed=1)
    expected = redundancy_in_loops(keys[0, 0].double().numpy())
    assert np.allclose(redundancy(keys)[0, 0].numpy(), expected, rtol=1e-5)


def test_only_the_rows_that_are_asked_for_are_read_where_they_lie():
    lane = torch.full((5, 2, 96, 16), torch.nan).bfloat16()
    lane[[3, 1], :, :70] = some_keys(2, 2, 70, 16, seed=2).bfloat16()
    found = redundancy(lane[:, :, :70], torch.tensor([3, 1], dtype=torch.int32))
    assert close(found, r_kv.redundancy(lane[[3, 1], :, :70].float()))


def test_heads_may_lie_apart():
    apart = some_keys(2, 6, 70, 16, seed=3)[:, ::3]
    assert close(redundancy(apart), r_kv.redundancy(apart))


def test_a_row_is_the_same_whatever_its_neighbours():
    keys = some_keys(3, 1, 300, 16, seed=4).bfloat16()
    alone = redundancy(keys[1:2])
    assert torch.equal(redundancy(keys)[1:2], alone)


def test_tokens_that_resemble_nothing_spare_the_oldest():
    keys = torch.eye(16)[None, None]  # all cosines are 0
    keys[0, 0, 0] = torch.ones(16)  # but for the oldest token's, which are 0.25
    assert close(redundancy(keys), r_kv.redundancy(keys))
    assert redundancy(keys)[0, 0, 0] < redundancy(keys)[0, 0, 1]


def test_keys_of_zeros_resemble_nothing():
    keys = some_keys(1, 1, 40, 16, seed=5)
    keys[0, 0, 3:30] = 0
    assert close(redundancy(keys), r_kv.redundancy(keys))


def test_equal_keys_spare_the_newest():
    keys = torch.ones(1, 1, 40, 16)
    found = redundancy(keys)[0, 0]
    assert found.argmin() == 39
    assert close(found, r_kv.redundancy(keys)[0, 0])


@pytest.mark.parametrize("tokens", [256, 300, 600])
def test_the_bytes_that_it_moves_are_those_of_the_formula(tokens: int):
    keys = some_keys(1, 1, tokens, 128, seed=6, alike=1.0).bfloat16()
    with counted() as traffic:
        redundancy(keys)
    most = bytes_moved(tokens, 128, torch.bfloat16)
    assert 0.95 * most <= traffic.moved <= most + 4 * 20  # each program reads its row's index


def test_tiles_that_pass_by_are_counted():
    assert passing(256, 256) == 256
    assert passing(600, 256) == 2 * 600  # of 3 tiles, each passes two programs
    assert passing(1024, 256) == 10 * 256  # of 4 tiles, two pass three programs, and two pass two


def test_a_compaction_costs_a_tenth_of_the_decoding_between_two():
    """Qwen3-8B with budget 8,192, per layer and KV head, on an H100 at the efficiencies of the plan."""
    tokens, head_dim, steps = 8192 + 128, 128, 128
    bandwidth, speed = 0.7 * 3.35e12, 0.5 * 989e12
    decoding = steps * tokens * 2 * head_dim * 2 / bandwidth
    assert bytes_moved(tokens, head_dim, torch.bfloat16) / bandwidth < 0.1 * decoding
    assert flops(tokens, head_dim, torch.bfloat16) / speed < 0.1 * decoding
