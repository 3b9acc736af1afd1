"""Linear layers on a CPU: oneDNN's product with a working copy of the weights.

    y = round(x) round(W)^T + b    rounded to the arithmetic's type; sums are in 32 bit

The checkpoint's tensors stay as they are, and they are what the memory model counts. The working copy is in
the arithmetic's type, laid out as oneDNN reads it. It is kept where memory allows, and made anew for each
product otherwise; both give the same numbers. GPTQ's weights are unpacked into it, so a product with them
costs what a product with plain ones costs. Layers with the same input share one copy and one product.

oneDNN adds up a row's products in an order that does not depend on the number of rows, except for a
single row, which is therefore computed twice. MKL, which computes torch's own 32-bit product, has
other orders for up to three rows. On the loaded model `actors.torch_engine.row_block` measures what holds.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from actors.torch_engine.packed_linear import PackedLinear
from raysweep.system.machine import multiplies_bf16

Layers = tuple[nn.Module, ...]
ROWS_IN_MIND = 32  # oneDNN lays the working copy out for this number of rows

_onednn: Any = torch.ops.mkldnn


def arithmetic_on_cpu(storage: torch.dtype) -> torch.dtype:
    """bf16 where the weights are bf16 and this CPU multiplies such numbers, 32 bit otherwise."""
    if storage != torch.bfloat16 or not torch.backends.mkldnn.is_available():
        return torch.float32
    native = multiplies_bf16() and _onednn._is_mkldnn_bf16_supported()
    return torch.bfloat16 if native else torch.float32


class CpuLinear:
    """The product with one or more linear layers, plain or packed, that read the same input.

    arithmetic  the type in which numbers are multiplied
    """

    def __init__(self, layers: Layers, arithmetic: torch.dtype):
        self.layers = layers
        self.arithmetic = arithmetic
        self.bias = _joined_bias(layers, arithmetic)
        self.outputs = [_shape(layer)[0] for layer in layers]
        self.kept: torch.Tensor | None = None

    @property
    def copy_bytes(self) -> int:
        """Bytes of the working copy."""
        return sum(self.outputs) * _shape(self.layers[0])[1] * self.arithmetic.itemsize

    def keep(self) -> None:
        """Make the working copy now, for all products to come."""
        self.kept = self._working_copy()

    def __call__(self, x: torch.Tensor) -> Sequence[torch.Tensor]:
        """x: [rows, inputs] -> for each layer [rows, outputs], of x's type."""
        copy = self._working_copy() if self.kept is None else self.kept
        rounded = x.to(self.arithmetic)
        if len(x) == 1:
            rounded = rounded.expand(2, -1)  # see above
        if torch.backends.mkldnn.is_available():
            y = _onednn._linear_pointwise(rounded, copy, self.bias, "none", [], "")
        else:
            y = functional.linear(rounded, copy, self.bias)
        return y[: len(x)].to(x.dtype).split(self.outputs, -1)

    def _working_copy(self) -> torch.Tensor:
        joined = torch.cat([_weight(layer).to(self.arithmetic) for layer in self.layers])
        if not torch.backends.mkldnn.is_available():
            return joined
        return _onednn._reorder_linear_weight(joined, ROWS_IN_MIND)


def _weight(layer: Any) -> torch.Tensor:
    """[outputs, inputs]"""
    return layer.dequantized().T if isinstance(layer, PackedLinear) else layer.weight.detach()


def _shape(layer: Any) -> tuple[int, int]:
    """Outputs and inputs."""
    if isinstance(layer, PackedLinear):
        return layer.qweight.shape[1], len(layer.g_idx)
    return layer.out_features, layer.in_features


def _joined_bias(layers: Layers, arithmetic: torch.dtype) -> torch.Tensor | None:
    """The layers' biases one after another, zeros for a layer that has none; None if none has one."""
    found: list[torch.Tensor | None] = [getattr(layer, "bias", None) for layer in layers]
    if all(bias is None for bias in found):
        return None
    pairs = zip(found, layers, strict=True)
    whole = [torch.zeros(_shape(layer)[0]) if b is None else b.detach() for b, layer in pairs]
    return torch.cat([bias.to(arithmetic) for bias in whole])
