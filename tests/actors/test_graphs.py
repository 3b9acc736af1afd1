"""Steps that are recorded once and replayed, with a twin of CUDA's recording that runs on a CPU."""

import pytest
import torch

from actors.kv_cache.slots import Scratch
from actors.torch_engine.graphs import Graphs, bucket, buckets


class ReplayedOnCpu:
    """A recording's twin: what CUDA replays, run again on the same tensors."""

    def __init__(self, once):
        once()
        self.replay = once


def test_a_recording_is_made_anew_when_what_it_is_bound_to_has_moved():
    graphs, places = Graphs(lambda: ReplayedOnCpu), [1]

    def run_once(shape: str, value: float) -> float:
        given = (torch.tensor([value]),)
        return graphs.run(lambda: places[0], shape, given, lambda inputs: 2 * inputs[0]).item()

    assert [run_once("a", 1), run_once("a", 2), run_once("b", 3)] == [2, 4, 6]
    before = dict(graphs.recordings)
    places[0] = 2
    assert run_once("a", 5) == 10
    assert graphs.recordings.keys() == {"a"} and graphs.recordings["a"] is not before["a"]


def test_no_recording_outlives_memory_that_moves_while_another_one_is_made():
    """A recording writes to fixed addresses, so it may not be replayed once its scratch has been replaced."""
    scratch, written = Scratch(), []

    class BoundToScratch:
        def __init__(self, once):
            once()
            self.address = scratch.buffers["sums"].data_ptr()

        def replay(self):
            written.append(self.address)

    graphs = Graphs(lambda: BoundToScratch)

    def run_once(numbers: int) -> None:
        def step(inputs):
            view = scratch.view("sums", (numbers,), torch.float32, torch.device("cpu"))
            return inputs[0] + view.fill_(1).sum()

        place = lambda: scratch.buffers["sums"].data_ptr() if scratch.buffers else None  # noqa: E731
        graphs.run(place, numbers, (torch.zeros(1),), step)

    for numbers in (1_000, 5_000_000, 1_000):
        run_once(numbers)
        assert written[-1] == scratch.buffers["sums"].data_ptr()


@pytest.mark.parametrize("max_rows", [1, 2, 7, 16, 54, 107, 128, 1000])
def test_steps_of_all_numbers_of_rows_share_at_most_ten_recordings(max_rows):
    for rows in range(1, max_rows + 1):
        size = bucket(rows, max_rows)
        assert rows <= size <= max_rows
        assert size < 2 * rows or size == bucket(1, max_rows)
    assert len(buckets(max_rows)) <= 10
