"""Rounding within a kernel, against torch's."""

import pytest
import torch
import triton
import triton.language as tl

from actors.kernels import launching
from actors.kernels.rounding import rounded

COUNT = 4096


@triton.jit
def _kernel(numbers, y, COUNT: tl.constexpr):
    at = tl.arange(0, COUNT)
    tl.store(y + at, rounded(tl.load(numbers + at), y.dtype.element_ty))


@pytest.mark.filterwarnings("ignore:overflow")  # numpy's word on what becomes infinite in fp16
# 4,096 bit patterns each, in steps of all sizes of numbers: half of them lie between two numbers of dtype.
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_numbers_are_rounded_as_torch_rounds_them(dtype):
    step = 2**32 // COUNT
    patterns = torch.arange(-(2**31), 2**31, step) + 2**15 * (torch.arange(COUNT) % 4)
    numbers = patterns.to(torch.int32).view(torch.float32)
    numbers = torch.where(numbers.isnan(), 0.0, numbers)
    y = torch.empty(COUNT, dtype=dtype)
    launching.launch(_kernel, (1,), numbers, y, COUNT=COUNT)
    assert torch.equal(y, numbers.to(dtype))


def test_what_is_no_number_stays_none():
    numbers = torch.tensor([float("nan")]).expand(COUNT).contiguous()
    y = torch.empty(COUNT, dtype=torch.bfloat16)
    launching.launch(_kernel, (1,), numbers, y, COUNT=COUNT)
    assert y.isnan().all()
