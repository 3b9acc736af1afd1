"""The residual sum with its norm, against torch's sum and transformers' `Qwen3RMSNorm`."""

import pytest
import torch
from support.interpreted import counted
from transformers.models.qwen3.modeling_qwen3 import Qwen3RMSNorm

from actors.kernels.add_norm import add_norm

EPS = 1e-6
FEATURES = [8, 64, 100, 576, 1024, 2560, 5120, 8192]
ROWS = 5


def numbers(seed: int, *shape: int) -> torch.Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def twin(features: int, dtype: torch.dtype) -> Qwen3RMSNorm:
    norm = Qwen3RMSNorm(features, EPS)
    norm.weight.data = (1 + 0.1 * numbers(1, features)).to(dtype)
    return norm


# 8 numbers of features * 3 types * with and without delta * 5 rows = 240 cases.
@torch.inference_mode()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("features", FEATURES)
@pytest.mark.parametrize("adds", [True, False], ids=["adds", "norm_only"])
def test_the_sum_and_its_norm_are_transformers_ones(features, dtype, adds):
    norm = twin(features, dtype)
    hidden, delta = numbers(2, ROWS, features).to(dtype), numbers(3, ROWS, features).to(dtype)
    total = hidden + delta if adds else hidden.clone()
    expected = norm(total)
    normed = add_norm(hidden, delta if adds else None, norm.weight, EPS)
    assert torch.equal(hidden, total)
    # The sum of squares has another order, so a number may be rounded to its neighbour.
    relative = {torch.float32: 1e-6, torch.bfloat16: 2**-7, torch.float16: 2**-10}[dtype]
    assert torch.allclose(normed, expected, rtol=relative, atol=0)
    assert (normed == expected).float().mean() > (0.3 if dtype == torch.float32 else 0.98)


@torch.inference_mode()
@pytest.mark.parametrize("parts", [1, 2, 8])
def test_a_delta_may_come_in_parts(parts):
    norm = twin(64, torch.float32)
    hidden, delta = numbers(2, 3, 64), numbers(3, parts, 3, 64)
    expected = hidden + delta.sum(0)
    assert torch.allclose(add_norm(hidden, delta, norm.weight, EPS), norm(expected), rtol=1e-5)
    assert torch.allclose(hidden, expected, rtol=1e-5, atol=1e-5)


@torch.inference_mode()
def test_rows_may_lie_apart():
    norm = twin(64, torch.float32)
    hidden, delta = numbers(2, 3, 100)[:, :64], numbers(3, 3, 80)[:, 16:]
    expected = norm(hidden + delta)
    assert torch.allclose(add_norm(hidden, delta, norm.weight, EPS), expected, rtol=1e-6)


def test_a_row_of_zeros_stays_zero():
    hidden, weight = torch.zeros(2, 64), torch.ones(64)
    assert not add_norm(hidden, torch.zeros(2, 64), weight, EPS).any()


@pytest.mark.parametrize(("adds", "loaded", "stored"), [(True, 3, 2), (False, 2, 1)])
def test_each_number_is_moved_once(adds, loaded, stored):
    rows, features = 5, 100
    hidden = torch.ones(rows, features, dtype=torch.bfloat16)
    with counted() as traffic:
        add_norm(hidden, hidden.clone() if adds else None, hidden[0].clone(), EPS)
    assert traffic.loaded == loaded * 2 * rows * features
    assert traffic.stored == stored * 2 * rows * features


def test_on_the_meta_device_nothing_is_run():
    hidden = torch.empty(4, 4096, dtype=torch.bfloat16, device="meta")
    assert add_norm(hidden, hidden, hidden[0], EPS).shape == (4, 4096)
