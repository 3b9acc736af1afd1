"""What finished work shows, against brute force over everything that was noted."""

from statistics import median

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.planning.measured import Kind, Learnt, learnt_of, mean_within
from raysweep.storage.part import Part

SUMS, FACTS = Kind("sums", 500.0), Kind("facts", 500.0)
MODELLED = {"a": 0.1, "b": 0.2, "c": 0.4}


def learnt() -> Learnt:
    return Learnt(lambda engine_id, device: MODELLED.get(engine_id, 0.0))


def test_without_anything_finished_the_limit_and_the_model_hold():
    assert learnt().tokens_per_sample("a", SUMS) == 500.0
    assert learnt().slowness("a") == 1.0


def test_an_engines_own_traces_come_first_then_its_fellows_of_the_benchmark():
    found = learnt()
    found.note("a", SUMS, samples=4, tokens=400)
    found.note("b", SUMS, samples=4, tokens=1200)
    assert found.tokens_per_sample("a", SUMS) == 100.0
    assert found.tokens_per_sample("c", SUMS) == 200.0
    assert found.tokens_per_sample("a", FACTS) == 500.0


def test_an_engine_is_as_slow_as_measured_and_another_as_the_middle_of_those():
    found = learnt()
    found.note("a", SUMS, 1, tokens=100, engine_s=30.0)
    assert found.slowness("a") == pytest.approx(3.0)
    found.note("a", FACTS, 1, tokens=100, engine_s=10.0)
    assert found.slowness("a") == found.slowness("new") == pytest.approx(2.0)
    found.note("b", SUMS, 1, tokens=100, engine_s=80.0)
    assert found.slowness("new") == pytest.approx(3.0)


def test_what_was_not_noted_or_not_modelled_teaches_nothing():
    found = learnt()
    found.note("a", SUMS, samples=4, tokens=0, engine_s=5.0)
    found.note("unknown", SUMS, samples=4, tokens=40, engine_s=5.0)
    assert found.slowness("a") == 1.0
    assert found.tokens_per_sample("a", SUMS) == 10.0


NOTES = st.lists(
    st.tuples(
        *(st.sampled_from("abc"), st.sampled_from([SUMS, FACTS]), st.integers(1, 9)),
        *(st.integers(1, 400), st.floats(0.01, 99)),
    ),
    min_size=1,
)


@settings(deadline=None)
@given(NOTES)
def test_sums_kept_on_the_way_are_those_over_all_notes(notes):
    found = learnt()
    for note in notes:
        found.note(*note)
    of_sums = [note for note in notes if note[1] == SUMS]
    mean = sum(n[3] for n in of_sums) / sum(n[2] for n in of_sums) if of_sums else SUMS.at_most
    assert found.tokens_per_sample("new", SUMS) == pytest.approx(min(mean, SUMS.at_most))
    measured = {}
    for engine in {note[0] for note in notes}:
        own = [note for note in notes if note[0] == engine]
        measured[engine] = sum(n[4] for n in own) / sum(n[3] * MODELLED[engine] for n in own)
        assert found.slowness(engine) == pytest.approx(measured[engine])
    assert found.slowness("new") == pytest.approx(median(measured.values()))


def test_parts_teach_by_the_benchmark_of_their_stream():
    def part(stream_id: str, tokens: int) -> Part:
        questions = {"q1": "", "q2": ""}
        return Part("a", "s", stream_id, questions, 0, 3, tokens=tokens, engine_s=60.0)

    parts = [part("x", 60), part("y", 600), part("of-another-run", 6000)]
    found = learnt_of(parts, {"x": SUMS, "y": FACTS}, lambda engine_id, device: 0.1)
    assert found.tokens_per_sample("a", SUMS) == 10.0
    assert found.tokens_per_sample("a", FACTS) == 100.0
    assert found.slowness("a") == pytest.approx(120 / 66)


def test_tokens_taken_over_from_an_earlier_part_count_for_lengths_and_not_for_speed():
    found = learnt()
    found.note("a", SUMS, 4, tokens=100, engine_s=20.0, kept_tokens=300)
    assert found.tokens_per_sample("a", SUMS) == 100.0
    assert found.slowness("a") == pytest.approx(2.0)


def test_samples_up_to_other_numbers_of_budgets_are_not_mixed():
    found = learnt()
    short = Kind("sums", 50.0)
    found.note("a", short, 1, tokens=50)
    found.note("a", SUMS, 1, tokens=300)
    assert found.tokens_per_sample("a", short) == 50.0
    assert found.tokens_per_sample("a", SUMS) == 300.0


def test_where_every_trace_was_cut_longer_ones_are_expected_to_be_cut_too():
    found = learnt()
    found.note("a", SUMS, 2, tokens=1000)
    assert found.tokens_per_sample("a", Kind("sums", 2000.0)) == 2000.0
    assert found.tokens_per_sample("a", Kind("sums", 100.0)) == 100.0


@settings(deadline=None)
@given(st.floats(1, 1e5), st.floats(10, 1e4), st.floats(10, 1e4))
def test_the_mean_of_longer_or_shorter_traces_is_that_of_exponential_lengths(mean, first, second):
    def cut(limit: float) -> float:
        """The mean of many exponential lengths, cut at a limit, by quantiles."""
        shares = (np.arange(20_000) + 0.5) / 20_000
        return float(np.minimum(-mean * np.log(1 - shares), limit).mean())

    expected = cut(second)
    assert mean_within(second, cut(first), first) == pytest.approx(expected, rel=0.1)
    assert mean_within(first, cut(first), first) == cut(first)
