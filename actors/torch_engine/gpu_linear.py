"""Linear layers on CUDA: one product with all layers that read the same input.

    y = x W^T + b    in x's type; sums are in 32 bit

The layers' weights are laid side by side, and the layers keep views of them, so no byte is held twice. Plain
weights are multiplied by torch, and GPTQ's codes by `actors.kernels.packed_product`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from actors.kernels.packed_product import PackedWeight, packed_product, product_in_parts
from actors.torch_engine.packed_linear import PackedLinear

Layers = tuple[nn.Module, ...]
Product = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class PackedProduct:
    """The product with packed weights."""

    weight: PackedWeight
    bias: torch.Tensor | None

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        return packed_product(x, self.weight, self.bias)


class GpuLinear:
    """The product with one or more linear layers, plain or packed, that read the same input.

    Packed layers whose bits or groups differ, and packed layers beside plain ones, are multiplied one by one.
    """

    def __init__(self, layers: Layers):
        self.outputs = [_outputs(layer) for layer in layers]
        together = [layers] if _alike(layers) else [(layer,) for layer in layers]
        self.products = [_product(each) for each in together]

    def __call__(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """x: [rows, inputs] -> for each layer [rows, outputs], of x's type."""
        return self.joined(x).split(self.outputs, -1)

    def in_parts(self, x: torch.Tensor) -> torch.Tensor:
        """`joined`, perhaps as [parts, rows, outputs] which add up to it, for `add_norm`."""
        first = self.products[0]
        if len(self.products) == 1 and isinstance(first, PackedProduct) and first.bias is None:
            return product_in_parts(x, first.weight)
        return self.joined(x)

    def joined(self, x: torch.Tensor) -> torch.Tensor:
        """x: [rows, inputs] -> [rows, sum of outputs]: the layers' outputs one after another."""
        found = [product(x) for product in self.products]
        return found[0] if len(found) == 1 else torch.cat(found, -1)


def _alike(layers: Layers) -> bool:
    """Whether the layers' weights can be laid side by side."""
    first: Any = layers[0]
    if not all(type(layer) is type(first) for layer in layers):
        return False
    if not isinstance(first, PackedLinear):
        return True
    packed: Any = layers
    return all(each.bits == first.bits and torch.equal(each.g_idx, first.g_idx) for each in packed)


def _product(layers: Any) -> Product:
    bias = _joined_bias(layers)
    if not isinstance(layers[0], PackedLinear):
        return partial(functional.linear, weight=_joined(layers, "weight", 0), bias=bias)
    zeros = None
    if not all(layer.symmetric for layer in layers):
        zeros = torch.cat([layer.zero_points().to(torch.uint8) for layer in layers], 1).contiguous()
    weight = PackedWeight(
        layers[0].bits,
        _joined(layers, "qweight", 1),
        _joined(layers, "scales", 1),
        zeros,
        None if layers[0].in_turn else layers[0].g_idx,
    )
    return PackedProduct(weight, bias)


def _joined(layers: Any, name: str, axis: int) -> torch.Tensor:
    """The layers' tensors side by side along their outputs; each layer is left with a view of its own."""
    tensors = [getattr(layer, name).data for layer in layers]
    whole = torch.cat(tensors, axis) if len(layers) > 1 else tensors[0].contiguous()
    views = whole.split([_outputs(layer) for layer in layers], axis)
    for layer, view in zip(layers, views, strict=True):
        getattr(layer, name).data = view
    return whole


def _joined_bias(layers: Layers) -> torch.Tensor | None:
    """The layers' biases one after another, zeros for a layer that has none; None if none has one."""
    found: list[torch.Tensor | None] = [getattr(layer, "bias", None) for layer in layers]
    given = [bias.detach() for bias in found if bias is not None]
    if not given:
        return None
    pairs = zip(found, layers, strict=True)
    return torch.cat(
        [
            given[0].new_zeros(_outputs(layer)) if bias is None else bias.detach()
            for bias, layer in pairs
        ]
    )


def _outputs(layer: Any) -> int:
    return layer.qweight.shape[1] if isinstance(layer, PackedLinear) else layer.out_features
