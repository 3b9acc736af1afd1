"""GPU kernels in Triton, one per file: what the torch engine launches on CUDA instead of torch's operations.

Each file opens with its formula and the bytes that it moves. Each kernel has a twin in plain torch, which a
CPU runs, and which the tests compare it with in Triton's interpreter. Only code that runs on CUDA imports
the files of this room, because torch's CPU build comes without Triton.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

DEVICES = {
    "cuda"
}  # tests add the CPU, where kernels are interpreted, and the meta device, where none runs


def used_on(device: torch.device) -> bool:
    """Whether kernels compute on the device."""
    return device.type in DEVICES
