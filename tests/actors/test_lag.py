"""An engine whose host reads tokens one step late, as on a GPU, and which must give the same traces."""

from dataclasses import replace

import pytest
from support.tiny_models import decoding, requests, run, smallest, untimed
from support.torch_engines import POLICIES, QUESTIONS, make_engine

from actors.kv.full import Full
from actors.torch_engine.sampling import NOTHING

ENDS_LOOPS = replace(decoding(temperature=0), loop_tokens=24, end_loops=True)
RESTLESS = replace(decoding(), extension="a=1;")
GREEDY = decoding(temperature=0)


def traces(policy, way, lag: int):
    engine = make_engine(smallest(), policy, max_rows=16)
    engine.lag = lag
    found = run(engine, requests(QUESTIONS, way, samples=2))
    assert not engine.launched
    return {key: untimed(trace) for key, trace in found.items()}


@pytest.mark.parametrize("policy", [p for p in POLICIES if not p.scores_attention], ids=str)
def test_a_host_that_is_one_step_late_changes_no_trace(policy):
    assert traces(policy, decoding(), lag=1) == traces(policy, decoding(), lag=0)


@pytest.mark.parametrize(
    "way", [ENDS_LOOPS, RESTLESS, GREEDY], ids=["loops", "extension", "greedy"]
)
def test_tokens_that_the_host_replaces_are_fed_again(way):
    assert traces(Full(), way, lag=1) == traces(Full(), way, lag=0)


def test_nearly_all_tokens_are_fed_before_the_host_has_read_them():
    engine = make_engine(smallest(), Full(), max_rows=16)
    engine.lag, decode, fed = 1, engine.decode, []

    def spy(batch, before):
        fed.extend(batch.tokens)
        return decode(batch, before)

    engine.decode = spy
    run(engine, requests(QUESTIONS, decoding(), samples=2))
    assert fed.count(NOTHING) > 0.5 * len(fed)
