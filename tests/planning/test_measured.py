"""What finished work shows, against brute force over everything that was noted."""

from statistics import median

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.planning.measured import Learnt, learnt_of
from raysweep.storage.part import Part

MODELLED = {"a": 0.1, "b": 0.2, "c": 0.4}


def learnt() -> Learnt:
    return Learnt(lambda engine_id, device: MODELLED.get(engine_id, 0.0))


def test_without_anything_finished_the_limit_and_the_model_hold():
    assert learnt().tokens_per_sample("a", "sums", 500.0) == 500.0
    assert learnt().slowness("a") == 1.0


def test_an_engines_own_traces_come_first_then_its_fellows_of_the_benchmark():
    found = learnt()
    found.note("a", "sums", samples=4, tokens=400)
    found.note("b", "sums", samples=4, tokens=1200)
    assert found.tokens_per_sample("a", "sums", 500.0) == 100.0
    assert found.tokens_per_sample("c", "sums", 500.0) == 200.0
    assert found.tokens_per_sample("c", "sums", 150.0) == 150.0
    assert found.tokens_per_sample("a", "facts", 500.0) == 500.0


def test_an_engine_is_as_slow_as_measured_and_another_as_the_middle_of_those():
    found = learnt()
    found.note("a", "sums", 1, tokens=100, engine_s=30.0)
    assert found.slowness("a") == pytest.approx(3.0)
    found.note("a", "facts", 1, tokens=100, engine_s=10.0)
    assert found.slowness("a") == found.slowness("new") == pytest.approx(2.0)
    found.note("b", "sums", 1, tokens=100, engine_s=80.0)
    assert found.slowness("new") == pytest.approx(3.0)


def test_what_was_not_noted_or_not_modelled_teaches_nothing():
    found = learnt()
    found.note("a", "sums", samples=4, tokens=0, engine_s=5.0)
    found.note("unknown", "sums", samples=4, tokens=40, engine_s=5.0)
    assert found.slowness("a") == 1.0
    assert found.tokens_per_sample("a", "sums", 500.0) == 10.0


NOTES = st.lists(
    st.tuples(
        *(st.sampled_from("abc"), st.sampled_from(["sums", "facts"]), st.integers(1, 9)),
        *(st.integers(1, 999), st.floats(0.01, 99)),
    ),
    min_size=1,
)


@settings(deadline=None)
@given(NOTES)
def test_sums_kept_on_the_way_are_those_over_all_notes(notes):
    found = learnt()
    for note in notes:
        found.note(*note)
    of_sums = [note for note in notes if note[1] == "sums"]
    mean = sum(n[3] for n in of_sums) / sum(n[2] for n in of_sums) if of_sums else 1e6
    assert found.tokens_per_sample("new", "sums", 1e6) == pytest.approx(mean)
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
    found = learnt_of(parts, {"x": "sums", "y": "facts"}, lambda engine_id, device: 0.1)
    assert found.tokens_per_sample("a", "sums", 500.0) == 10.0
    assert found.tokens_per_sample("a", "facts", 500.0) == 100.0
    assert found.slowness("a") == pytest.approx(120 / 66)
