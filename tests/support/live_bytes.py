"""Bytes that are alive while torch code runs, counted on the meta device, where nothing is allocated."""

import weakref
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the storages of all tensors that are made meanwhile, until they are dropped.

    now, peak  bytes
    """

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.tensors: dict[int, int] = {}  # living ones, by their storage

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(made):
            if isinstance(tensor, torch.Tensor) and tensor.is_meta:
                self._follow(tensor)
        return made

    def _follow(self, tensor: torch.Tensor) -> None:
        storage = tensor.untyped_storage()
        key, nbytes = storage._cdata, storage.nbytes()
        if key not in self.tensors:
            self.tensors[key] = 0
            self.now += nbytes
            self.peak = max(self.peak, self.now)
        self.tensors[key] += 1
        weakref.finalize(tensor, self._drop, key, nbytes)

    def _drop(self, key: int, nbytes: int) -> None:
        self.tensors[key] -= 1
        if self.tensors[key] == 0:
            del self.tensors[key]
            self.now -= nbytes
