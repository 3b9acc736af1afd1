"""Torch's operations that launch a kernel on a GPU, recorded on any device."""

from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

ALLOCATE = {"empty", "new_empty", "empty_like", "empty_strided", "new_empty_strided"}
RENAMED = {"_unsafe_view"}  # a view, though torch does not call it one


class TorchLaunches(TorchDispatchMode):
    """As a context: `names` are the operations meanwhile, without views and allocations."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        with self:  # an operation that is made of others is recorded as those
            result = func.decompose(*args, **kwargs)
        if result is not NotImplemented:
            return result
        name = func._schema.name.removeprefix("aten::")
        if not _is_view(func) and name not in ALLOCATE | RENAMED:
            self.names.append(name)
        return func(*args, **kwargs)


def _is_view(func: Any) -> bool:
    aliases = (returned.alias_info for returned in func._schema.returns)
    return any(alias is not None and not alias.is_write for alias in aliases)
