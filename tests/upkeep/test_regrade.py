"""Regrading stored answers: what changes, what is reported, and that two graders are never mixed."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from support.command import Command
from support.nouns import a_benchmark, a_run_config

from raysweep import grading
from raysweep.errors import ConfigError
from raysweep.grading import Said
from raysweep.planning.plan import make_plan
from raysweep.storage.part import PART_KEY, Part, part_name
from raysweep.storage.schemas import SAMPLES
from raysweep.storage.store import Store
from raysweep.system.content import content_hash
from raysweep.system.exit_status import DONE
from raysweep.system.workers import Workers
from raysweep.upkeep.regrade import regrade_run, wanted_parts

MATHEMATICS = (a_benchmark(grader="mathematics"),)


def store_of(command: Command) -> Store:
    return Store(str(command.out / "test"))


def tables(store: Store) -> Iterator[tuple[Part, pa.Table]]:
    for part in store.parts():
        yield part, store.read_table(part_name(part.engine_id, part.shard_id))


def answers(store: Store) -> list[dict]:
    rows = [row for _, table in tables(store) for row in table.to_pylist()]
    return [{**answer, "question": row["question_id"]} for row in rows for answer in row["answers"]]


def rewrite(store: Store, change: Callable[[dict], dict], tag: str = "integer-0") -> None:
    """Turn the samples into those of an earlier grader, with `change` applied to each answer."""
    for part, table in list(tables(store)):
        rows = table.to_pylist()
        for row in rows:
            row["answers"] = [change(answer) for answer in row["answers"]]
        graders = dict.fromkeys(part.questions, tag)
        earlier = replace(part, graders=graders)
        store.write_part(earlier, pa.Table.from_pylist(rows, schema=SAMPLES))


def content(store: Store) -> dict[Path, tuple[bytes, int]]:
    """The bytes of the parts, and the times when they were written."""
    files = Path(store.root).rglob("shard-*.parquet")
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def test_regrading_by_the_same_grader_touches_no_file(run: Command):
    run("generate")
    before = content(store_of(run))
    status, said = run("regrade")
    assert status == DONE
    assert content(store_of(run)) == before != {}
    assert said == "regrade sums: 24 answers, 0 extracted differently"


def test_a_corrected_grader_changes_outcomes_says_which_and_is_done_after_once(run: Command):
    run("generate")
    right = answers(store_of(run))

    def misread(answer: dict) -> dict:
        return {**answer, "answer": None, "outcome": "unanswered"}

    rewrite(store_of(run), misread)
    status, said = run("regrade", "reduce")
    assert status == DONE
    assert answers(store_of(run)) == right
    for outcome in ("correct", "wrong"):
        count = sum(answer["outcome"] == outcome for answer in right)
        assert f"{count} unanswered → {outcome}" in said
    assert "24 answers, 24 extracted differently" in said
    after = content(store_of(run))
    assert run("regrade")[1] == "regrade sums: 24 answers, 0 extracted differently"
    assert content(store_of(run)) == after


def test_regraded_samples_keep_all_else(run: Command):
    run("generate")
    before = [table for _, table in tables(store_of(run))]
    run("regrade", benchmarks=MATHEMATICS)
    for (part, table), old in zip(tables(store_of(run)), before, strict=True):
        assert table.drop_columns("answers").equals(old.drop_columns("answers"))
        assert table.schema.field("answers") == old.schema.field("answers")
        assert set(part.graders.values()) == {grading.tag("mathematics")}
        assert json.loads(table.schema.metadata[PART_KEY])["graders"] == part.graders
    untouched = ("text", "ended", "token_budget", "thinking_tokens", "forced", "kv_bytes")
    for new, old in zip(answers(store_of(run)), answers_of(before), strict=True):
        assert [new[name] for name in untouched] == [old[name] for name in untouched]


def answers_of(found: list[pa.Table]) -> list[dict]:
    return [answer for table in found for row in table.to_pylist() for answer in row["answers"]]


def test_regrading_is_grading_each_answer_alone(run: Command):
    texts = ["\\boxed{2}", "The answer is 3", "\\boxed{\\frac{4}{2}}", "", "\\boxed{1", "hm"]
    written = iter(range(10**6))

    def vary(answer: dict) -> dict:
        place = next(written)
        return {**answer, "text": texts[place % len(texts)], "ended": place % 4 > 0}

    run("generate")
    rewrite(store_of(run), vary)
    run("regrade", benchmarks=MATHEMATICS)
    gold = {question.question_id: question.gold for question in MATHEMATICS[0].questions}
    with Workers(1) as workers:
        for answer in answers(store_of(run)):
            said = Said(answer["text"], answer["ended"], gold[answer["question"]])
            alone = grading.grade("mathematics", said, workers)
            assert (answer["answer"], answer["outcome"]) == (alone.answer, alone.outcome)
    assert {answer["outcome"] for answer in answers(store_of(run))} == {
        *("correct", "wrong", "unanswered", "cut_off")
    }


@pytest.mark.parametrize("stage", ["generate", "reduce"])
def test_outcomes_of_two_graders_are_not_mixed(run: Command, stage: str):
    run("generate", samples=2)
    with pytest.raises(ConfigError) as raised:
        run(stage, benchmarks=MATHEMATICS)
    assert str(raised.value) == (
        "sweep.benchmarks: 'sums' is graded by mathematics-2, but stored answers were graded by integer-2; "
        "grade them again with stages=[regrade,reduce,report]"
    )


def test_the_same_samples_go_on_with_another_grader_once_regraded(run: Command):
    run("generate", samples=2)
    status, said = run("regrade", "generate", "reduce", samples=4, benchmarks=MATHEMATICS)
    assert status == DONE
    assert "12 samples" in said
    graders = {tag for part, _ in tables(store_of(run)) for tag in part.graders.values()}
    assert graders == {"mathematics-2"}
    assert sum(table.num_rows for _, table in tables(store_of(run))) == 12


def test_answers_to_questions_that_are_not_the_runs_keep_their_grader(run: Command):
    run("generate")
    parts = list(store_of(run).parts())
    one = a_run_config(benchmarks=(a_benchmark(count=1, grader="mathematics"),))
    wanted = list(wanted_parts(one, parts))
    assert [{question.question_id for question in found.questions} for found in wanted] == [
        {"sums-0"}
    ] * 2
    with Workers(1) as workers:
        regrade_run(one, parts, store_of(run), workers)
    for part in store_of(run).parts():
        for question_id, tag in part.graders.items():
            assert tag == ("mathematics-2" if question_id == "sums-0" else "integer-2")


def test_parts_are_found_where_auto_stands_for_their_backend():
    auto = a_run_config(backend="auto")
    shards = make_plan(auto, []).to_do
    parts = [
        Part(
            "toy",
            s.shard_id,
            s.stream_id,
            {q.question_id: content_hash(q) for q in s.questions},
            0,
            1,
        )
        for s in shards
    ]
    assert len(list(wanted_parts(auto, parts))) == len(shards) > 0


def test_a_damaged_part_is_named(run: Command):
    run("generate")
    part, table = next(tables(store_of(run)))
    store_of(run).write_part(part, table.drop_columns("answers"))
    with pytest.raises(ConfigError, match=f"regrade cannot grade .*shard-{part.shard_id}.parquet"):
        run("regrade")


def test_regrading_needs_no_ray_and_no_tensor_library():
    program = "import sys, raysweep.upkeep.regrade, raysweep.stages; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert not {"ray", "torch", "transformers", "sympy"} & set(loaded.stdout.split())
