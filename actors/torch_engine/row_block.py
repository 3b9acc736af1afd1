"""How many rows it takes until a row's logits do not depend on the number of rows.

A library that multiplies matrices may choose its kernel, and so the order of a sum, by the number of rows.
Which kernels there are depends on library, CPU, threads and shapes. So it is measured once, on the
loaded model: rows that all hold the same token must have the same logits to the bit.
"""

from collections.abc import Callable, Iterator

import torch

BLOCKS = (1, 2, 4, 8, 16)
LARGEST_BLOCK = BLOCKS[-1]


def row_block(logits: Callable[[int], torch.Tensor], most: int) -> int | None:
    """The smallest block of rows such that all numbers of whole blocks give a row the same logits.

    logits  gives the logits [rows, vocabulary] of that many equal rows
    most    rows of the largest batch

    None if there is none among BLOCKS; then a row may depend on its neighbours.
    """
    for block in BLOCKS:
        expected = logits(block)[0].clone()
        if all(bool((logits(rows) == expected).all()) for rows in _multiples(block, most)):
            return block
    return None


def _multiples(block: int, most: int) -> Iterator[int]:
    """Numbers of rows to try: the first eight, in which a kernel's last rows occur, then each doubling."""
    for count in (*range(1, 9), *(2**power for power in range(4, most.bit_length()))):
        if count * block <= most:
            yield count * block
