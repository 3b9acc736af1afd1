"""Part 1: each kernel beside its twin in plain torch, and its time beside that of a large copy."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import torch

from actors.kernels import launching
from benchmarks.check_gpu import attention_kernels, compaction_kernels, layer_kernels
from benchmarks.check_gpu.checked import Checked, Shapes, qwen3_8b, tiny
from benchmarks.check_gpu.device import seconds_of
from benchmarks.check_gpu.rows import Case, Row
from benchmarks.check_gpu.setting import Setting


def cases(setting: Setting) -> Sequence[Case]:
    shapes = tiny() if setting.dry else qwen3_8b()
    found = [
        (name, make)
        for module in (layer_kernels, attention_kernels, compaction_kernels)
        for name, make in module.checks(shapes).items()
    ]
    measured = [Case(name, partial(check, name, make, shapes, setting)) for name, make in found]
    return [Case("copy", partial(copy, setting)), *measured]


def copy(setting: Setting) -> Iterable[Row]:
    """What a copy of a GB on the device moves; the kernels' rows are measured by it."""
    share = setting.copy_bytes_s / setting.gpu.bandwidth_bytes_s
    said = f"{setting.copy_bytes_s / 1e9:,.0f} GB/s, {share:.2f} × the data sheet's"
    yield Row("copy", said, numbers={"bytes_s": setting.copy_bytes_s, "of_data_sheet": share})


@torch.inference_mode()
def check(
    name: str, make: Callable[[], Checked], shapes: Shapes, setting: Setting
) -> Iterable[Row]:
    torch.manual_seed(0)
    checked = make()
    with launched() as files:
        off = checked.off()
    seconds = seconds_of(checked.run, shapes.device)
    bytes_s = checked.moved / seconds
    share = bytes_s / setting.copy_bytes_s
    time = f"{seconds * 1e6:,.0f} µs, {bytes_s / 1e9:,.0f} GB/s, {share:.2f} × copy"
    numbers = {
        "seconds": seconds,
        "bytes": checked.moved,
        "of_copy": share,
        "off": off.value,
        "most_off": off.most,
        "kernels": sorted(files),
    }
    return [Row(name, f"{off}; {time}", off.expected, off.ok, numbers)]


@contextmanager
def launched() -> Iterator[set[str]]:
    """The files in actors/kernels whose kernels are launched meanwhile."""
    files: set[str] = set()
    launch = launching.launch

    def noting(kernel: Any, *arguments: Any, **constants: Any) -> None:
        files.add(kernel.fn.__module__.rpartition(".")[2])
        launch(kernel, *arguments, **constants)

    with mock.patch.object(launching, "launch", noting):
        yield files
