"""The gated activation, against torch in 64 bit."""

import pytest
import torch
from support.interpreted import counted
from torch.nn import functional

from actors.kernels.gated import gated

FEATURES = [8, 96, 1000, 1024, 3072, 5000]
ROWS = 12


# 6 numbers of features * 3 types * 12 rows = 216 cases, whose gates reach from -80 to 80.
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("features", FEATURES)
def test_it_is_silu_times_up(features, dtype):
    generator = torch.Generator().manual_seed(features)
    spread = torch.linspace(0.01, 20, ROWS)[:, None]
    gate_up = (spread * torch.randn(ROWS, 2 * features, generator=generator)).to(dtype)
    gate, up = gate_up.double().chunk(2, -1)
    exact = functional.silu(gate) * up
    y = gated(gate_up)
    relative = {torch.float32: 1e-5, torch.bfloat16: 2**-8, torch.float16: 2**-10}[dtype]
    assert y.dtype == dtype
    assert torch.allclose(y.double(), exact, rtol=relative, atol=1e-7)


def test_rows_may_lie_apart():
    wide = torch.randn(3, 200, generator=torch.Generator().manual_seed(0))
    assert torch.equal(gated(wide[:, :128]), gated(wide[:, :128].contiguous()))


def test_each_number_is_moved_once():
    with counted() as traffic:
        gated(torch.ones(3, 200, dtype=torch.bfloat16))
    assert (traffic.loaded, traffic.stored) == (2 * 3 * 200, 2 * 3 * 100)


def test_on_the_meta_device_nothing_is_run():
    gate_up = torch.empty(4, 24576, dtype=torch.bfloat16, device="meta")
    assert gated(gate_up).shape == (4, 12288)
