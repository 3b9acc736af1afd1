"""Linear layers on a CPU: their numbers, and that a row's do not depend on the number of rows."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from actors.torch_engine.cpu_linear import CpuLinear, arithmetic_on_cpu
from actors.torch_engine.row_block import row_block
from raysweep.memory import round_up

SHAPES = [  # inputs, and outputs of the layers that read them
    (64, (64, 32, 32)),
    (192, (64,)),
    (576, (576, 192, 192)),
    (576, (1536, 1536)),
    (1536, (576,)),
    (576, (5000,)),
]
WAYS = ["32bit", "16bit"]


@pytest.fixture(params=WAYS)
def arithmetic(request: pytest.FixtureRequest) -> torch.dtype:
    if request.param == "16bit" and arithmetic_on_cpu(torch.bfloat16) == torch.float32:
        pytest.skip("this CPU multiplies no bf16 numbers: it lacks AVX512-BF16")
    return torch.float32 if request.param == "32bit" else torch.bfloat16


def layers_of(inputs: int, outputs: tuple[int, ...]) -> tuple[nn.Linear, ...]:
    """Layers with random weights, every second one with a bias."""
    torch.manual_seed(inputs)
    made = [nn.Linear(inputs, n, bias=index % 2 == 1) for index, n in enumerate(outputs)]
    return tuple(layer.bfloat16() for layer in made)


@torch.inference_mode()
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_products_are_those_of_the_layers_in_that_arithmetic(inputs, outputs, arithmetic):
    layers = layers_of(inputs, outputs)
    x = torch.randn(5, inputs)
    for y, layer in zip(CpuLinear(layers, arithmetic)(x), layers, strict=True):
        bias = None if layer.bias is None else layer.bias.double()
        exact = functional.linear(x.to(arithmetic).double(), layer.weight.double(), bias)
        assert y.dtype == torch.float32
        tolerance = 1e-5 if arithmetic == torch.float32 else 2**-7  # of a rounded result
        assert torch.allclose(y.double(), exact, rtol=tolerance, atol=1e-5)


@torch.inference_mode()
@pytest.mark.parametrize(("inputs", "outputs"), SHAPES)
def test_a_row_has_the_same_bits_in_a_batch_of_any_size(inputs, outputs, arithmetic):
    linear = CpuLinear(layers_of(inputs, outputs), arithmetic)
    linear.keep()
    x = torch.randn(40, inputs)
    whole = torch.cat(list(linear(x)), -1)
    for rows in range(1, 40):
        assert torch.equal(torch.cat(list(linear(x[:rows])), -1), whole[:rows]), rows


@torch.inference_mode()
def test_a_working_copy_made_for_each_product_gives_the_same_numbers(arithmetic):
    layers = layers_of(576, (576, 192, 192))
    kept, fresh = CpuLinear(layers, arithmetic), CpuLinear(layers, arithmetic)
    kept.keep()
    x = torch.randn(3, 576)
    for one, other in zip(kept(x), fresh(x), strict=True):
        assert torch.equal(one, other)


def test_a_working_copy_takes_the_bytes_of_its_type():
    layers = layers_of(64, (64, 32))
    assert CpuLinear(layers, torch.float32).copy_bytes == 64 * 96 * 4
    assert CpuLinear(layers, torch.bfloat16).copy_bytes == 64 * 96 * 2


def test_weights_in_32_bit_are_multiplied_in_32_bit():
    assert arithmetic_on_cpu(torch.float32) == torch.float32


@pytest.mark.parametrize("independent_from", [1, 4, 16])
def test_the_row_block_is_the_smallest_that_makes_rows_independent(independent_from):
    """A library that rounds otherwise where the number of rows is no multiple of a block."""

    def logits(rows: int) -> torch.Tensor:
        return torch.full((rows, 3), 0.5 if rows % independent_from == 0 else 0.25)

    assert row_block(logits, most=64) == independent_from


def test_there_is_no_row_block_where_rows_of_a_batch_differ():
    assert row_block(lambda rows: torch.arange(rows)[:, None].float(), most=64) is None
    assert row_block(lambda rows: torch.full((rows, 3), float(rows)), most=64) is None


def test_rows_are_padded_to_whole_blocks():
    assert [round_up(rows, 4) for rows in (1, 4, 5)] == [4, 4, 8]
