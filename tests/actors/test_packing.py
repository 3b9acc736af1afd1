"""Packed numbers against their oracles: the library hqq and transformers' cache, and exact properties."""

import pytest
import torch
from support import hqq_library, tiny_models
from transformers.cache_utils import HQQQuantizedLayer

from actors.kv.quantized import Quantized
from actors.kv_cache.half_quadratic import half_quadratic
from actors.kv_cache.packing import pack, unpack_into
from actors.torch_engine.model import load_decoder
from raysweep.kv_policy import Axis, Packing

AXES: dict[int, Axis] = {0: "channel", 1: "token"}
BITS = pytest.mark.parametrize("bits", [8, 4, 2])


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def with_sink(x: torch.Tensor) -> torch.Tensor:
    """The first token's numbers are close to 0, as the values of an attention sink are."""
    return torch.cat([x[..., :1, :] / 100, x[..., 1:, :]], -2)


NUMBERS = {  # [heads, tokens, head_dim]
    "normal": drawn(3, 64, 64),
    "wide heads": drawn(3, 64, 128),
    "narrow heads": drawn(3, 64, 32),
    "large outliers": 3 * drawn(3, 64, 64) ** 3,
    "channels far from zero": drawn(3, 64, 64) + 50 * drawn(64, seed=1),
    "a sink": 3 * with_sink(drawn(3, 64, 64)),
    "nearly equal": 1e-5 * drawn(3, 64, 64) + 1,
    "zeros": torch.zeros(3, 64, 64),
}


def rounded(x: torch.Tensor, packing: Packing) -> torch.Tensor:
    """Keys that are packed and unpacked."""
    out = torch.empty_like(x)
    unpack_into(out, pack(x, packing, packing.key_axis), packing, packing.key_axis)
    return out


def check_equal_to_the_library(heads: torch.Tensor, bits: int, axis: int, group_size: int) -> None:
    grouped = (
        heads.unflatten(-2, (-1, group_size))
        if axis == 0
        else heads.unflatten(-1, (-1, group_size))
    )
    ours = half_quadratic(grouped, dim=-2 if axis == 0 else -1, top=2**bits - 1)
    packing = Packing(bits, group_size, AXES[axis], AXES[axis], "hqq")
    for head, numbers in enumerate(heads):
        library = hqq_library.quantised(numbers, bits, axis, group_size)
        codes, scales, zeros = (part[head] for part in ours)
        assert torch.equal(codes.view(numbers.shape), library.codes)
        assert torch.equal(scales.flatten(), library.scales)
        assert torch.allclose(zeros.flatten(), library.zeros, rtol=1e-6, atol=1e-5)
        largest = float(numbers.abs().max())
        back = rounded(numbers[None], packing)[0]
        assert torch.allclose(back, library.rounded, rtol=1e-6, atol=1e-3 * largest)


@pytest.mark.parametrize("numbers", NUMBERS.values(), ids=NUMBERS)
@pytest.mark.parametrize("axis", [0, 1])
@BITS
def test_hqq_has_the_librarys_codes_scales_zero_points_and_numbers(numbers, axis, bits):
    check_equal_to_the_library(numbers, bits, axis, min(64, numbers.shape[-1]) if axis else 64)


@pytest.fixture(scope="module")
def cached() -> torch.Tensor:
    """Keys and values of the smallest shipped model in 16 bit, 64 tokens each: [heads, 64, head_dim]."""
    decoder = load_decoder(
        str(tiny_models.MODELS / tiny_models.smallest()), torch.bfloat16, torch.device("cpu")
    )
    vocabulary = tiny_models.architecture(tiny_models.smallest()).vocab_size
    kv, _ = decoder.prefill([token % vocabulary for token in range(3, 67)])
    return torch.cat([kv.keys.flatten(0, 1), kv.values.flatten(0, 1)]).float()


@pytest.mark.parametrize("axis", [0, 1])
@BITS
def test_hqq_has_the_librarys_numbers_for_a_models_keys_and_values(cached, axis, bits):
    check_equal_to_the_library(cached, bits, axis, min(64, cached.shape[-1]) if axis else 64)


@BITS
def test_by_default_the_numbers_are_those_of_transformers_quantised_cache(bits):
    """It has one head and one block of tokens here; group size, axes and residual are its defaults."""
    block = drawn(1, 1, 64, 64).half()
    layer = HQQQuantizedLayer(nbits=bits)
    layer.update(block, block)
    policy = Quantized(bits)
    assert (layer.q_group_size, layer.axis_key, layer.axis_value, layer.residual_length) == (
        policy.group_size,
        policy.axis,
        policy.axis,
        policy.residual,
    )
    theirs = layer._dequantize(layer._quantized_keys)  # which computes in fp16
    assert torch.allclose(rounded(block.float(), policy.packing), theirs.float(), atol=1e-2)


@pytest.mark.parametrize("axis", [0, 1])
def test_a_block_is_refined_as_if_it_were_alone(axis):
    """Each stops by its own error: these need different numbers of rounds."""
    blocks = torch.stack([drawn(64, 64), 3 * drawn(64, 64) ** 3, torch.zeros(64, 64)] * 8)[:, None]
    packing = Packing(2, 64, AXES[axis], AXES[axis], "hqq")
    together = pack(blocks, packing, AXES[axis])
    for index, block in enumerate(blocks):
        alone = pack(block[None], packing, AXES[axis])
        assert all(torch.equal(alone[name][0], together[name][index]) for name in alone)


@BITS
def test_zero_points_beyond_16_bit_are_avoided_by_a_wider_scale(bits):
    block = 500 + 1e-3 * drawn(1, 1, 64, 64)
    packing = Packing(bits, 64, "channel", "channel", "hqq")
    assert pack(block, packing, "channel")["zeros"].isfinite().all()
    assert torch.allclose(rounded(block, packing), block, rtol=2**-10)


@pytest.mark.parametrize("axis", [0, 1])
@BITS
def test_symmetric_levels_have_zero_among_them_and_reach_the_largest_number(axis, bits):
    numbers = drawn(1, 1, 64, 64)
    numbers[..., ::3, ::2] = 0
    numbers[..., 5] = 0
    back = rounded(numbers, Packing(bits, 64, AXES[axis], AXES[axis], "symmetric"))
    assert (back[numbers == 0] == 0).all()
    assert torch.allclose(back.abs().max(), numbers.abs().max(), rtol=2e-3)
    assert len(back[..., 0, :].unique() if axis else back[..., :, 0].unique()) <= 2**bits - 1
