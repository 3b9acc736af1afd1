"""Steps that are recorded once and replayed, with a twin of CUDA's recording that runs on a CPU."""

import pytest
import torch
from support.tiny_models import decoding, requests, run, smallest, untimed
from support.torch_engines import POLICIES, QUESTIONS, make_engine

from actors.torch_engine.graphs import Graphs


class ReplayedOnCpu:
    """A recording's twin: what CUDA replays, run again on the same tensors."""

    def __init__(self, once):
        once()
        self.replay = once


def test_a_recording_is_made_anew_when_what_it_is_bound_to_has_moved():
    graphs, places = Graphs(ReplayedOnCpu), [1]

    def run_once(shape: str, value: float) -> float:
        given = (torch.tensor([value]),)
        return graphs.run(lambda: places[0], shape, given, lambda inputs: 2 * inputs[0]).item()

    assert [run_once("a", 1), run_once("a", 2), run_once("b", 3)] == [2, 4, 6]
    before = dict(graphs.recordings)
    places[0] = 2
    assert run_once("a", 5) == 10
    assert graphs.recordings.keys() == {"a"} and graphs.recordings["a"] is not before["a"]


@pytest.mark.parametrize("policy", POLICIES, ids=lambda policy: policy.slug)
def test_steps_that_are_recorded_and_replayed_give_the_same_traces(policy):
    wanted = requests(QUESTIONS, decoding(), samples=2)
    expected = run(make_engine(smallest(), policy), wanted)
    engine = make_engine(smallest(), policy)
    engine.decoder.graphs = Graphs(ReplayedOnCpu)
    replayed = run(engine, wanted)
    assert {k: untimed(t) for k, t in expected.items()} == {
        k: untimed(t) for k, t in replayed.items()
    }
    assert bool(engine.decoder.graphs.recordings) != policy.scores_attention
