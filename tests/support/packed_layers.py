"""Linear layers with random weights in GPTQ's format, for tests of what multiplies with them."""

import numpy as np
import torch

from actors.torch_engine.packed_linear import PackedLinear


def packed(codes: torch.Tensor, bits: int) -> torch.Tensor:
    """Codes [k, n] as words [k * bits / 32, n], int32: a stream of bits along the first axis."""
    stream = (codes.numpy()[:, None, :] >> np.arange(bits)[None, :, None]) & 1
    octets = np.packbits(stream.reshape(-1, codes.shape[1]).astype(bool), axis=0, bitorder="little")
    words = np.frombuffer(octets.T.tobytes(), np.int32).reshape(codes.shape[1], -1)
    return torch.tensor(words.T.copy())


def random_layer(
    seed: int,
    inputs: int,
    outputs: int,
    bits: int,
    group: int,
    symmetric: bool = True,
    in_turn: bool = True,
    bias: bool = False,
) -> PackedLinear:
    """A layer of AutoGPTQ's format with random codes, scales and, unless symmetric, zero points.

    in_turn  groups are consecutive inputs; otherwise inputs are in groups at random, as many in each, which
             depend on the seed and on the number of inputs alone
    """
    generator = torch.Generator().manual_seed(seed)
    groups = -(-inputs // group)
    g_idx = torch.arange(inputs, dtype=torch.int32) // group
    if not in_turn:
        g_idx = g_idx[torch.randperm(inputs, generator=generator)]
    codes = torch.randint(2**bits, (inputs, outputs), generator=generator)
    zeros = torch.full((groups, outputs), 2 ** (bits - 1))
    if not symmetric:
        zeros = torch.randint(1, 2**bits, zeros.shape, generator=generator)
    tensors = {
        "qweight": packed(codes, bits),
        "qzeros": packed((zeros - 1).T, bits).T.contiguous(),
        "scales": (0.01 + 0.1 * torch.rand(groups, outputs, generator=generator)).half(),
        "g_idx": g_idx,
    }
    if bias:
        tensors["bias"] = torch.randn(outputs, generator=generator).half()
    return PackedLinear(tensors, bits, offset=1)
