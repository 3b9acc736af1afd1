"""Kernel launches, recorded instead of run: what the engine would launch on a GPU, with all arguments."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from actors.kernels import launching


@dataclass(frozen=True)
class Launch:
    """One call of `launching.launch`.

    constants  the kernel's compile-time parameters and Triton's options
    """

    kernel: Any
    grid: tuple[int, ...]
    arguments: tuple[Any, ...]
    constants: dict[str, Any]

    @property
    def file(self) -> str:
        """The kernel's file in actors/kernels, without its ending."""
        return self.kernel.fn.__module__.rpartition(".")[2]

    @property
    def name(self) -> str:
        return self.kernel.fn.__name__


@contextmanager
def recorded() -> Iterator[list[Launch]]:
    """All launches meanwhile. None is run, so results on any device are undefined."""
    launches: list[Launch] = []

    def record(kernel: Any, grid: tuple[int, ...], *arguments: Any, **constants: Any) -> None:
        if 0 not in grid:
            launches.append(Launch(kernel, grid, arguments, constants))

    with mock.patch.object(launching, "launch", record):
        yield launches
