"""A corrected gold answer: the samples stay, their answers are graded again, and the old gold is recorded."""

from dataclasses import replace

import pytest
from support.command import Command
from support.nouns import a_benchmark

from raysweep.errors import ConfigError
from raysweep.spec import Benchmark
from raysweep.storage.damaged import aside_name
from raysweep.storage.part import gold_name
from raysweep.storage.store import Store
from raysweep.system.exit_status import DONE

BENCHMARK = a_benchmark()
FIRST = BENCHMARK.questions[0]


def with_first(**changes: str) -> Benchmark:
    return replace(BENCHMARK, questions=(replace(FIRST, **changes), *BENCHMARK.questions[1:]))


CORRECTED = with_first(gold="7")


def outcomes(run: Command) -> list[tuple[str, str, str]]:
    """(question, answer, outcome) of every stored answer."""
    store = Store(str(run.out / "test"))
    tables = [store.read_table(name) for name in store.part_names()]
    rows = [row for table in tables for row in table.to_pylist()]
    return [(r["question_id"], a["answer"], a["outcome"]) for r in rows for a in r["answers"]]


def notes(run: Command) -> list[dict[str, str]]:
    return [part.former_golds for part in Store(str(run.out / "test")).parts()]


@pytest.mark.parametrize("stage", ["generate", "reduce"])
def test_answers_graded_against_two_golds_are_never_mixed(run: Command, stage: str):
    run("generate")
    with pytest.raises(
        ConfigError, match=r"other gold answers .* for sums-0; grade them again with stages"
    ):
        run(stage, benchmarks=(CORRECTED,))


def test_a_corrected_gold_keeps_the_samples_regrades_them_and_says_what_changed(run: Command):
    run("generate")
    before = outcomes(run)
    status, said = run("regrade", "generate", "reduce", benchmarks=(CORRECTED,))
    assert status == DONE and "nothing to do" in said
    assert f"the gold answer of sums-0 was '{FIRST.gold}' before" in said
    after = outcomes(run)
    assert [(question, answer) for question, answer, _ in after] == [one[:2] for one in before]
    own = [(answer, outcome) for question, answer, outcome in after if question == "sums-0"]
    assert all((answer == "7") == (outcome == "correct") for answer, outcome in own)
    assert [one for one in after if one[0] != "sums-0"] == [o for o in before if o[0] != "sums-0"]
    assert {"sums-0": FIRST.gold} in notes(run)


def test_a_correction_that_the_grader_cannot_read_changes_nothing(run: Command):
    mathematics = replace(BENCHMARK, grader="mathematics")
    run("generate", benchmarks=(mathematics,))
    before = outcomes(run)
    bad = replace(with_first(gold=r"\frac{1}{0"), grader="mathematics")
    with pytest.raises(ConfigError, match=r"cannot read the gold answer .* of sums-0"):
        run("regrade", benchmarks=(bad,))
    assert outcomes(run) == before


def test_a_damaged_part_that_regrading_finds_is_set_aside_and_told(run: Command):
    run("generate")
    store = Store(str(run.out / "test"))
    name = store.part_names()[0]
    store.write_bytes(name, store.read_bytes(name)[:-9])
    said = run("regrade")[1]
    assert f"{aside_name(name)} cannot be read; it was set aside" in said


def test_regrading_with_the_same_golds_corrects_nothing(run: Command):
    run("generate")
    assert "was" not in run("regrade")[1]
    assert set(map(str, notes(run))) == {"{}"}


def test_a_changed_question_is_another_question(run: Command):
    run("generate")
    with pytest.raises(ConfigError, match=r"questions\.sums: .* differs from"):
        run("generate", benchmarks=(with_first(prompt="Something else?"),))


def test_a_long_gold_is_named_by_its_hash():
    assert gold_name("42") == "42"
    assert gold_name("9" * 500) == gold_name("9" * 500) != gold_name("8" * 500)
    assert len(gold_name("9" * 500)) < 30
