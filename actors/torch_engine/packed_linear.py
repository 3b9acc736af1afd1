"""A linear layer that stores GPTQ's packed codes, and unpacks them each time it is used.

    weight[k, n] = (code[k, n] - zero[group(k), n]) * scale[group(k), n]

Codes of b bits follow one another along the input features as one stream of bits: 32 / b of them per word
if b divides 32, otherwise (3 bits) across the borders of words. The dequantised weights exist only during one
product. The engine's products are those of `cpu_linear` and `gpu_linear`, which read these layers' tensors.
"""

from functools import cache
from math import gcd

import torch
from torch import nn

WORD_BITS = 32


class PackedLinear(nn.Module):
    """y = x W + bias, from GPTQ's tensors as `raysweep.checkpoints.tensors` lists them.

    offset  the number that was subtracted from the zero points before they were packed: 1 in AutoGPTQ's
            format, 0 in its second version
    """

    qweight: torch.Tensor
    qzeros: torch.Tensor
    scales: torch.Tensor
    g_idx: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, tensors: dict[str, torch.Tensor], bits: int, offset: int):
        super().__init__()
        self.bits, self.offset = bits, offset
        for name in ("qweight", "qzeros", "scales", "g_idx"):
            self.register_buffer(name, tensors[name])
        self.register_buffer("bias", tensors.get("bias"))
        inputs, groups = len(self.g_idx), len(self.scales)
        in_turn = torch.arange(inputs, dtype=torch.int32) // -(-inputs // groups)
        self.in_turn = torch.equal(self.g_idx, in_turn)  # otherwise in the order of the activations
        self.symmetric = bool((self.zero_points() == 2 ** (bits - 1)).all())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """x: [..., inputs] -> [..., outputs]"""
        y = x @ self.dequantized().to(x.dtype)
        return y if self.bias is None else y + self.bias.to(x.dtype)

    def dequantized(self) -> torch.Tensor:
        """The weights [inputs, outputs], rounded to the type of the scales, as in all kernels."""
        codes, scales = unpack(self.qweight, self.bits), self.scales.float()
        zeros = 2 ** (self.bits - 1) if self.symmetric else self.zero_points()
        if self.in_turn:
            codes = codes.view(len(scales), -1, codes.shape[1])
            scales = scales[:, None]
            zeros = zeros if isinstance(zeros, int) else zeros[:, None]
        else:
            group = self.g_idx.long()
            scales = scales[group]
            zeros = zeros if isinstance(zeros, int) else zeros[group]
        weights = codes.sub_(zeros).float().mul_(scales).to(self.scales.dtype)
        return weights.view(len(self.g_idx), -1)

    def zero_points(self) -> torch.Tensor:
        """The zero points [groups, outputs]."""
        zeros = unpack(self.qzeros.T, self.bits).T
        return (zeros + self.offset) & (2**self.bits - 1)


@cache
def _reading(bits: int, device: torch.device) -> tuple[int, torch.Tensor, torch.Tensor]:
    """The words after which codes end at a word's end, and for each code until then its word and shift."""
    together = gcd(bits, WORD_BITS)
    start = torch.arange(WORD_BITS // together, device=device) * bits
    return bits // together, start // WORD_BITS, (start % WORD_BITS).int()[:, None]


def unpack(words: torch.Tensor, bits: int) -> torch.Tensor:
    """The codes in 32-bit words along the first axis: [words, n] -> [words * 32 / bits, n], int32."""
    period, word, shift = _reading(bits, words.device)
    if period == 1:
        codes = words[:, None] >> shift
    else:
        periods = words.reshape(-1, period, words.shape[1])
        following = periods[:, (word + 1).clamp(max=period - 1)] << (WORD_BITS - shift)
        # A right shift fills in the word's sign from the left, so only the code's own bits are kept.
        low = (periods[:, word] >> shift) & ((1 << (WORD_BITS - shift)) - 1)
        codes = torch.where(shift + bits > WORD_BITS, low | following, low)
    return codes.bitwise_and_(2**bits - 1).flatten(0, 1)
