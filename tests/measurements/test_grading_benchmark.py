"""The grading benchmark, small: it measures every grader, and regrades a run to a table."""

from benchmarks.grading import Scale, a_run, regrade, report, store_answers
from raysweep.grading import sandbox
from raysweep.storage.part_file import place_of
from raysweep.storage.store import Store

SMALL = Scale(plain=4, algebra_answers=3, programs=2, stored=240)


def test_every_grader_and_regrading_is_measured():
    text = report(SMALL, cores=2)
    code = [] if sandbox.trouble() else ["| code, one test in the sandbox | 2 |"]
    for line in ("| integer | 4 |", "| mathematics, algebra | 3 |", *code):
        assert line in text
    for line in ("after a correction, 1 process", "nothing to change, 2 processes"):
        assert f"| {line} | 240 |" in text


def test_what_is_regraded_is_a_run_whose_answers_are_all_graded(tmp_path):
    store = Store(str(tmp_path))
    config = store_answers(a_run(), store, SMALL)
    assert regrade(config, store, 1)[0] == 240
    outcomes = {
        answer["outcome"]
        for part in store.parts()
        for row in store.read_samples([place_of(part)], ["answers"]).to_pylist()
        for answer in row["answers"]
    }
    assert outcomes <= {"correct", "wrong"}
