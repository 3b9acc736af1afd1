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


def buckets(max_rows: int) -> tuple[int, ...]:
    """The numbers of rows for which steps are recorded: the largest one, and at most eight powers of two."""
    powers = [1 << power for power in range(max_rows.bit_length()) if 1 << power < max_rows]
    return (*powers[-8:], max_rows)


def bucket(rows: int, max_rows: int) -> int:
    """The rows of the recording that serves a step."""
    return next(size for size in buckets(max_rows) if size >= rows)


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
    """Recordings by shape.

    recorder  gives what runs a function while recording it: `recorder_on_cuda`. All recordings that are
              dropped together share one, and those that follow get another
    """

    def __init__(self, recorder: Callable[[], Record]):
        self.recorder = recorder
        self.place: Hashable = None
        self._drop()

    def _drop(self) -> None:
        self.recordings: dict[Hashable, Recording] = {}
        self.record = self.recorder()

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
            self._drop()
        if shape not in self.recordings:
            before, made = place(), self._made(inputs, step)
            self.place = place()
            # Warming up may have moved what all earlier recordings are bound to.
            if self.place != before:
                self.recordings = {}
            self.recordings[shape] = made
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


def recorder_on_cuda() -> Record:
    """Records on CUDA. All recordings take their memory from one pool, as they never run at the same time.

    A pool ends with the last of its recordings, so recordings that replace all others need another one.
    """
    pool = torch.cuda.graph_pool_handle()

    def record(once: Callable[[], None]) -> Graph:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=pool):
            once()
        return graph

    return record
