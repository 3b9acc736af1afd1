"""Kernels in Triton's interpreter on a CPU: what they load and store, counted.

`tests/conftest.py` sets TRITON_INTERPRET=1 before Triton is imported, which is when Triton reads it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest import mock

from triton.runtime.interpreter import InterpreterBuilder


@dataclass
class Traffic:
    """Bytes that kernels have loaded and stored, without masked ones; what is loaded twice counts twice."""

    loaded: int = 0
    stored: int = 0

    @property
    def moved(self) -> int:
        return self.loaded + self.stored


@contextmanager
def counted() -> Iterator[Traffic]:
    """Counts the traffic of all kernels that run meanwhile."""
    traffic = Traffic()
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store
    rmw = InterpreterBuilder.create_atomic_rmw

    def counting_load(self: Any, ptrs: Any, mask: Any, *rest: Any) -> Any:
        loaded = load(self, ptrs, mask, *rest)
        traffic.loaded += int(mask.data.sum()) * loaded.data.dtype.itemsize
        return loaded

    def counting_store(self: Any, ptrs: Any, value: Any, mask: Any, *rest: Any) -> Any:
        traffic.stored += int(mask.data.sum()) * value.data.dtype.itemsize
        return store(self, ptrs, value, mask, *rest)

    def counting_atomic(self: Any, op: Any, ptr: Any, val: Any, mask: Any, *rest: Any) -> Any:
        touched = int(mask.data.sum()) * val.data.dtype.itemsize
        traffic.loaded += touched
        traffic.stored += touched
        return rmw(self, op, ptr, val, mask, *rest)

    with (
        mock.patch.object(InterpreterBuilder, "create_masked_load", counting_load),
        mock.patch.object(InterpreterBuilder, "create_masked_store", counting_store),
        mock.patch.object(InterpreterBuilder, "create_atomic_rmw", counting_atomic),
    ):
        yield traffic
