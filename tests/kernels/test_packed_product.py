"""The product with packed weights, against the same weights unpacked by `PackedLinear`."""

from itertools import product

import pytest
import torch
from support.interpreted import counted
from support.packed_layers import random_layer

from actors.kernels import launching
from actors.kernels.packed_product import PackedWeight, packed_product, product_in_parts
from actors.torch_engine.packed_linear import PackedLinear

# rows, inputs, outputs, size of a group; every second one is multiplied in fp16, the others in fp32
SHAPES = [
    (1, 64, 32, 32),
    (5, 224, 32, 32),
    (3, 128, 64, 128),
    (33, 160, 32, 32),
    (16, 96, 160, 96),
    (17, 352, 32, 352),
    (18, 96, 32, 32),
    (130, 64, 32, 64),
    (1, 32, 96, 32),
    (2, 480, 64, 96),
]
SMALL_GROUPS = [(4, 64, 32, 8), (7, 96, 64, 24), (1, 160, 32, 40), (19, 64, 32, 16)]


def weight_of(layer: PackedLinear) -> PackedWeight:
    return PackedWeight(
        layer.bits,
        layer.qweight,
        layer.scales,
        None if layer.symmetric else layer.zero_points().to(torch.uint8).contiguous(),
        None if layer.in_turn else layer.g_idx,
    )


def check(layer: PackedLinear, rows: int, dtype: torch.dtype) -> None:
    """fp32 within 1e-5 of the largest output, 16 bit within the rounding of the output."""
    x = torch.randn(rows, len(layer.g_idx), generator=torch.Generator().manual_seed(rows)).to(dtype)
    y = packed_product(x, weight_of(layer), layer.bias)
    exact = x.double() @ layer.dequantized().to(dtype).double()
    if layer.bias is not None:
        exact = exact + layer.bias.double()
    relative = {torch.float32: 0.0, torch.bfloat16: 2**-8, torch.float16: 2**-11}[dtype]
    assert y.dtype == dtype
    assert ((y.double() - exact).abs() <= relative * exact.abs() + 1e-5 * exact.abs().max()).all()


# 3 numbers of bits * 4 kinds of layers * 10 shapes * 2 types = 240 cases, and 32 of small groups.
@pytest.mark.parametrize("bits", [8, 4, 3])
@pytest.mark.parametrize("symmetric", [True, False], ids=["symmetric", "zeros"])
@pytest.mark.parametrize("in_turn", [True, False], ids=["in_turn", "by_activation"])
def test_products_are_those_with_the_unpacked_weights(bits, symmetric, in_turn):
    for seed, (rows, inputs, outputs, group) in enumerate(SHAPES):
        layer = random_layer(seed, inputs, outputs, bits, group, symmetric, in_turn, seed % 2 == 1)
        for dtype in (torch.bfloat16, torch.float16 if seed % 2 else torch.float32):
            check(layer, rows, dtype)


@pytest.mark.parametrize("bits", [8, 4])
def test_groups_may_be_of_any_multiple_of_eight_inputs(bits):
    kinds = product(SMALL_GROUPS, (True, False), (True, False))
    for seed, ((rows, inputs, outputs, group), symmetric, in_turn) in enumerate(kinds):
        layer = random_layer(seed, inputs, outputs, bits, group, symmetric, in_turn)
        check(layer, rows, torch.bfloat16)


def test_rows_may_lie_apart():
    layer = random_layer(0, 64, 32, bits=4, group=32)
    wide = torch.randn(3, 100, generator=torch.Generator().manual_seed(0))
    y = packed_product(wide[:, :64], weight_of(layer))
    assert torch.equal(y, packed_product(wide[:, :64].contiguous(), weight_of(layer)))


def test_extreme_codes_and_scales_round_as_unpacked_weights_do():
    """Scales so small and large that the weights are subnormal or near the end of fp16."""
    layer = random_layer(0, 64, 32, bits=8, group=32, symmetric=False)
    layer.scales[0] = 2.0**-24
    layer.scales[1] = 250.0
    x = torch.eye(64)
    assert torch.equal(packed_product(x, weight_of(layer)), layer.dequantized().float())


@pytest.mark.parametrize(("rows", "parts"), [(1, 3), (16, 3), (128, 6), (512, 1)])
def test_few_outputs_are_split_along_the_inputs(rows, parts, monkeypatch):
    """Shapes of Qwen3-8B, on the meta device: 64 or 32 tiles of outputs are too few for a GPU."""
    grids = []
    monkeypatch.setattr(launching, "launch", lambda kernel, grid, *_, **__: grids.append(grid))
    words = torch.empty(4096 // 8, 4096, dtype=torch.int32, device="meta")
    scales = torch.empty(32, 4096, dtype=torch.float16, device="meta")
    x = torch.empty(rows, 4096, dtype=torch.bfloat16, device="meta")
    weight = PackedWeight(4, words, scales, None, None)
    y = product_in_parts(x, weight)
    assert y.shape == (parts, rows, 4096)
    assert y.dtype == (torch.bfloat16 if parts == 1 else torch.float32)
    whole = packed_product(x, weight)
    assert whole.shape == (rows, 4096) and whole.dtype == torch.bfloat16
    assert [grid[2] for grid in grids] == [parts, 1]


@pytest.mark.parametrize(("bits", "in_turn"), [(8, True), (4, True), (4, False), (3, True)])
def test_parts_add_up_to_the_product(bits, in_turn):
    layer = random_layer(1, 256, 64, bits, 32, in_turn=in_turn)
    x = torch.randn(5, 256, generator=torch.Generator().manual_seed(0))
    parts = product_in_parts(x, weight_of(layer))
    assert len(parts) > 1
    expected = x @ layer.dequantized().float()
    assert torch.allclose(parts.sum(0), expected, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("bits", [8, 4, 3])
@pytest.mark.parametrize("in_turn", [True, False], ids=["in_turn", "by_activation"])
def test_words_are_read_once(bits, in_turn):
    """The formula of the file's docstring for 16 rows, whose tiles are 64 outputs and 128 or 64 inputs."""
    rows, inputs, outputs, group = 16, 256, 128, 64
    layer = random_layer(
        0, inputs, outputs, bits, group, symmetric=False, in_turn=in_turn, bias=True
    )
    with counted() as whole:
        packed_product(torch.randn(rows, inputs).bfloat16(), weight_of(layer), layer.bias)
    with counted() as split:
        product_in_parts(torch.randn(rows, inputs).bfloat16(), weight_of(layer))
    parts = 2 if in_turn else 4
    tiles, run = outputs // 64, 64 if in_turn else 1
    words, scales = inputs * outputs * bits // 8, 3 * outputs * inputs // run
    order = 0 if in_turn else 4 * inputs * tiles
    x = 2 * rows * inputs * tiles
    assert layer.bias is not None
    bias = layer.bias.nbytes
    assert whole.loaded == words + scales + order + x + bias
    assert whole.stored == 2 * rows * outputs
    assert split.loaded == words + scales + order + x
    assert split.stored == 4 * parts * rows * outputs
