"""The one way in which kernels are launched, so that tests can count launches and read their arguments.

On the meta device nothing is run. So memory and launches of an engine can be counted without a GPU.
"""

from typing import Any

import torch


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
    """Run a Triton kernel over a grid of programs.

    constants  the kernel's compile-time parameters and Triton's options, such as num_warps
    """
    if 0 in grid or any(isinstance(each, torch.Tensor) and each.is_meta for each in arguments):
        return
    kernel[grid](*arguments, **constants)
