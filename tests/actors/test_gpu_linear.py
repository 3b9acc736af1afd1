"""Linear layers as they are multiplied on CUDA; here packed ones run in Triton's interpreter."""

from typing import Any

import pytest
import torch
from support.packed_layers import random_layer
from torch import nn

from actors.kernels import launching
from actors.torch_engine.gpu_linear import GpuLinear

INPUTS = 64


@pytest.fixture
def launches(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The kernels that are launched."""
    made: list[Any] = []
    launch = launching.launch

    def counting(kernel: Any, *arguments: Any, **constants: Any) -> None:
        made.append(kernel)
        launch(kernel, *arguments, **constants)

    monkeypatch.setattr(launching, "launch", counting)
    return made


def plain_layers(dtype: torch.dtype = torch.float32) -> tuple[nn.Linear, ...]:
    """Three layers, of which the second one has a bias."""
    torch.manual_seed(0)
    sizes = {32: False, 16: True, 48: False}
    return tuple(nn.Linear(INPUTS, n, bias=bias).to(dtype) for n, bias in sizes.items())


def packed_layers(**kind: Any) -> tuple[nn.Module, ...]:
    """Two layers, of which the second one has a bias."""
    given = {"bits": 4, "group": 32, **kind}
    return tuple(random_layer(1, INPUTS, n, bias=n == 64, **given) for n in (32, 64))


def storage(tensor: torch.Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


@torch.inference_mode()
@pytest.mark.parametrize(
    "layers",
    [
        plain_layers(),
        packed_layers(),
        packed_layers(bits=8, symmetric=False),
        packed_layers(bits=3, in_turn=False),
        (*plain_layers(), *packed_layers()),
        packed_layers()[:1],
    ],
    ids=["plain", "packed", "zeros", "by_activation", "mixed", "one"],
)
def test_products_are_those_of_the_layers(layers):
    x = torch.randn(5, INPUTS, generator=torch.Generator().manual_seed(0))
    expected = [layer(x) for layer in layers]
    linear = GpuLinear(layers)
    found = linear(x)
    assert torch.equal(linear.joined(x), torch.cat(list(found), -1))
    for layer, y, truth in zip(layers, found, expected, strict=True):
        assert torch.allclose(y, truth, atol=1e-5 * float(truth.abs().max()), rtol=0)
        assert torch.allclose(layer(x), truth, atol=1e-6)  # the layer itself works as before


def test_plain_weights_are_held_once():
    layers = plain_layers(torch.bfloat16)
    GpuLinear(layers)
    assert len({storage(layer.weight) for layer in layers}) == 1
    assert layers[0].weight.untyped_storage().nbytes() == 2 * INPUTS * (32 + 16 + 48)
    assert all(isinstance(layer.weight, nn.Parameter) for layer in layers)


def test_packed_words_and_scales_are_held_once():
    layers: Any = packed_layers()
    GpuLinear(layers)
    for name, size in {"qweight": INPUTS // 2 * 96, "scales": 2 * 2 * 96}.items():
        tensors = [getattr(layer, name) for layer in layers]
        assert len({storage(tensor) for tensor in tensors}) == 1
        assert tensors[0].untyped_storage().nbytes() == size


def test_a_single_layer_keeps_its_weight_which_another_module_may_share():
    head = nn.Linear(INPUTS, 32, bias=False)
    before = storage(head.weight)
    GpuLinear((head,))
    assert storage(head.weight) == before


def test_layers_whose_groups_agree_take_one_launch(launches):
    GpuLinear(packed_layers(in_turn=False)).joined(torch.randn(2, INPUTS).bfloat16())
    assert len(launches) == 1


@pytest.mark.parametrize("other", [{"bits": 8}, {"in_turn": False}, {"group": 64}])
def test_layers_that_differ_in_bits_or_groups_are_multiplied_one_by_one(other, launches):
    layers = (packed_layers()[0], packed_layers(**other)[1])
    x = torch.randn(2, INPUTS)
    expected = torch.cat([layer(x) for layer in layers], -1)
    assert torch.allclose(GpuLinear(layers).joined(x), expected, atol=1e-4)
    products = [kernel for kernel in launches if "words" in kernel.arg_names]
    assert len(products) == 2
