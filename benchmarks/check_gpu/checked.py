"""A kernel beside its twin: what it is run on, how far it is off, and the bytes that it moves."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

import torch

from actors import kernels
from raysweep import catalogue
from raysweep.spec import Architecture

ROUNDING = 2.0**-8  # of a number to bf16, relative to it
STORED = torch.bfloat16
WIDTH = 2  # its bytes


@dataclass(frozen=True)
class Shapes:
    """The shapes in which kernels are checked: one layer of a model, and rows that hold `tokens` each."""

    device: torch.device
    a: Architecture
    rows: int
    tokens: int

    @property
    def group(self) -> int:
        return self.a.heads // self.a.kv_heads

    @property
    def heads_in_all(self) -> int:
        """KV heads of all rows."""
        return self.rows * self.a.kv_heads

    def normal(self, *shape: int, dtype: torch.dtype = STORED) -> torch.Tensor:
        return torch.randn(shape, device=self.device).to(dtype)

    def whole(self, number: int) -> torch.Tensor:
        """The same whole number for each row."""
        return torch.full((self.rows,), number, dtype=torch.int32, device=self.device)

    def all_rows(self) -> torch.Tensor:
        return torch.arange(self.rows, dtype=torch.int32, device=self.device)

    def keys(self) -> torch.Tensor:
        """[rows, kv_heads, tokens, head_dim]; half of them are noisy copies of others, as R-KV expects."""
        keys = self.normal(self.rows, self.a.kv_heads, self.tokens, self.a.head_dim)
        half = self.tokens // 2
        keys[:, :, half : 2 * half] = keys[:, :, :half] + 0.3 * torch.randn_like(keys[:, :, :half])
        return keys


def qwen3_8b() -> Shapes:
    return Shapes(torch.device("cuda"), catalogue.model("qwen3-8b").architecture, 16, 4096)


def tiny() -> Shapes:
    """What the interpreter can run in seconds."""
    return Shapes(torch.device("cpu"), Architecture(64, 1, 2, 1, 32, 96, 300, True, 512), 2, 128)


@dataclass(frozen=True)
class Off:
    """How far a result is from the twin's, and how far it may be: in roundings, or a share of its entries."""

    value: float
    most: float
    share: bool = False

    @property
    def ok(self) -> bool:
        """Whether it is no further off, but for sums in 32 bit. What is not a number is."""
        return self.value <= 1.01 * self.most

    def __str__(self) -> str:
        return f"{self.value:.2%} differ" if self.share else f"{self.value:.2g} roundings off"

    @property
    def expected(self) -> str:
        if self.share:
            return f"at most {self.most:.1%} differ" if self.most else "none differs"
        return f"at most {self.most:g} roundings off"


@dataclass(frozen=True)
class Checked:
    """A kernel on random numbers.

    run    launches it
    off    launches it and compares; it is called before `run`, which may change its inputs
    moved  bytes that it moves, as its file's docstring says
    """

    run: Callable[[], Any]
    off: Callable[[], Off]
    moved: float


def roundings(found: torch.Tensor, exact: torch.Tensor, most: float = 1) -> Off:
    """The largest error, in roundings of the largest number; the kernel itself has `most`."""
    largest = exact.double().abs().max()
    off = (found.double() - exact.double()).abs().max() / largest / ROUNDING
    return Off(float(off), most)


def unequal(found: torch.Tensor, expected: torch.Tensor, most: float = 0) -> Off:
    """The share of entries that differ."""
    return Off(float((found != expected).double().mean()), most, share=True)


def farthest(*several: Off) -> Off:
    """The worst one of several."""
    return max(several, key=lambda off: off.value / max(off.most, 1e-9))


@contextmanager
def by_torch() -> Iterator[None]:
    """Meanwhile policies compute by torch on any device, without kernels."""
    with mock.patch.object(kernels, "DEVICES", set()):
        yield
