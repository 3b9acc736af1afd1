"""`benchmarks.packed_instructions`, and the instructions that make numbers out of codes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from actors.kernels.packed_codes import (
    bf16_power,
    code_mask,
    half_of,
    masking,
    moving,
    rightward,
    shift_of,
)
from benchmarks.packed_instructions import loop_of

ROOT = Path(__file__).parents[2]


def executed(ptx: Any, words: torch.Tensor) -> torch.Tensor:
    """What one instruction makes of words of 32 bit, which are held in 64."""
    name, *operands = ptx.rstrip(";").replace(",", "").split()
    numbers = [int(each, 0) for each in operands[2:]]
    match name, numbers:
        case "shl.b32", [places]:
            return words << places & 0xFFFFFFFF
        case "shr.b32", [places]:
            return words >> places
        case "lop3.b32", [mask, power, 0xEA]:  # the table of (a & b) | c
            return words & mask | power
    raise AssertionError(ptx)


@pytest.mark.parametrize(("bits", "part"), [(b, p) for b in (2, 4) for p in range(16 // b)])
def test_two_instructions_make_numbers_of_two_codes(bits: int, part: int):
    words = torch.randint(0, 2**32, (1000,), generator=torch.Generator().manual_seed(part))
    moved = executed(moving(rightward(bits, part)), words)
    made = executed(masking(code_mask(bits, part), bf16_power(bits, part)), moved)
    for half in (0, 16):
        codes = words >> half + part * bits & 2**bits - 1
        numbers = (made >> half & 0xFFFF).to(torch.uint16).view(torch.bfloat16).double()
        assert torch.equal(numbers, codes - half_of(bits) + shift_of(bits, part))


def test_the_longest_loop_is_from_a_branchs_target_to_the_branch():
    sass = """
        /*0000*/                   MOV R1, c[0x0][0x28] ;
        /*0010*/              @!P0 LDG.E R2, [R4.64] ;
        /*0020*/                   UIADD3 UR4, UR4, 0x1, URZ ;
        /*0030*/               @P1 BRA 0x10 ;
        /*0040*/                   EXIT ;
        /*0050*/                   BRA 0x50;
    """
    assert loop_of(sass) == ["LDG", "UIADD3", "BRA"]


@pytest.mark.slow
def test_instructions_at_4_bits_take_less_time_than_the_bytes():
    """In a process of its own, because kernels are interpreted in this one."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "benchmarks.packed_instructions", "hqq along channels, 4 bits"]
    done = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE)
    share = done.stdout.decode().strip().splitlines()[-1].split("|")[-2]
    assert 10 < float(share.strip().rstrip("%")) < 100
