"""Decoding steps recorded once and replayed: CUDA graphs, which save a small step its kernel launches.

A recorded step reads and writes fixed addresses. So its inputs are copied into tensors that belong to the
recording, and so does its output. One recording serves all steps of one shape. When other tensors have
moved, because the cache has grown, all recordings are made again.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Protocol

import torch

Inputs = tuple[torch.Tensor, ...]
WARM_UPS = 2  # runs before recording, in which kernels choose their algorithms and allocate


class Graph(Protocol):
    """Recorded work, which can be run again on the same tensors."""

    def replay(self) -> None: ...


Record = Callable[[Callable[[], None]], Graph]


@dataclass(frozen=True)
class Recording:
    inputs: Inputs
    output: torch.Tensor
    graph: Graph


class Graphs:
    """Recordings by shape. `record` runs a function while recording it: on CUDA, `record_cuda`."""

    def __init__(self, record: Record):
        self.record = record
        self.place: Hashable = None
        self.recordings: dict[Hashable, Recording] = {}

    def run(
        self,
        place: Callable[[], Hashable],
        shape: Hashable,
        inputs: Inputs,
        step: Callable[[Inputs], torch.Tensor],
    ) -> torch.Tensor:
        """`step(inputs)`, recorded the first time that the shape is used.

        place  returns what a recording depends on; all are dropped when it changes
        step   may be run more than once, and must do the same each time

        The result is overwritten by the next step of that shape.
        """
        if place() != self.place:
            self.recordings = {}
        if shape not in self.recordings:
            self.recordings[shape] = self._made(inputs, step)
            self.place = place()  # warming up may have allocated
        recording = self.recordings[shape]
        for own, given in zip(recording.inputs, inputs, strict=True):
            own.copy_(given)
        recording.graph.replay()
        return recording.output

    def _made(self, inputs: Inputs, step: Callable[[Inputs], torch.Tensor]) -> Recording:
        own = tuple(tensor.clone() for tensor in inputs)
        for _ in range(WARM_UPS - 1):
            step(own)
        output = torch.empty_like(step(own))

        def once() -> None:
            output.copy_(step(own))

        return Recording(own, output, self.record(once))


def record_cuda(once: Callable[[], None]) -> Graph:
    """Record on CUDA."""
    torch.cuda.synchronize()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        once()
    return graph
