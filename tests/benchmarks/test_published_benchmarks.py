"""GPQA and LiveCodeBench from their published columns, and the shipped definitions."""

import json
import pickle
import re
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.configurations import read_benchmark, write_models
from support.data_sets import metals, packed, programs, sums, write

from raysweep.benchmarks import gpqa, livecodebench
from raysweep.benchmarks.code_tests import CodeTest, CodeTests, pack_tests, pickled_text, read_tests
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.sources import File, local_file
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import read_yaml
from raysweep.errors import ConfigError
from raysweep.system.content import content_hash


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small")


def files(path: Path) -> tuple[File, ...]:
    return (local_file(path, None, "source"),)


# GPQA

CHOICES = Prompt("{{ question }}{% for choice in choices %}|{{ choice }}{% endfor %}")


def test_gpqa_letters_its_choices_so_that_the_gold_letter_is_the_right_answer(tmp_path: Path):
    source = files(write(tmp_path / "gpqa.csv", metals(200)))
    golds = []
    for index, question in enumerate(gpqa.questions(source, CHOICES, seed=0)):
        stem, *choices = question.prompt.split("|")
        assert stem == f"Which metal, of case {index}?"
        assert choices["ABCD".index(question.gold)] == f"right {index}"
        assert len(set(choices)) == 4
        golds.append(question.gold)
    assert all(30 < count < 70 for count in Counter(golds).values())


def test_the_seed_shuffles_the_choices_and_the_other_rows_do_not(tmp_path: Path):
    source = files(write(tmp_path / "gpqa.csv", metals(20)))
    reverse = files(write(tmp_path / "reverse.csv", metals(20)[::-1]))
    first, again = (list(gpqa.questions(source, CHOICES, seed)) for seed in (0, 0))
    assert first == again
    assert first == list(gpqa.questions(reverse, CHOICES, seed=0))[::-1]
    assert content_hash(*first) != content_hash(*gpqa.questions(source, CHOICES, seed=1))


def test_a_csv_that_lacks_a_column_of_gpqa_is_refused(tmp_path: Path):
    rows = [{k: v for k, v in row.items() if k != "Incorrect Answer 2"} for row in metals()]
    source = files(write(tmp_path / "gpqa.csv", rows))
    with pytest.raises(ConfigError, match=r"row 1, column 'Incorrect Answer 2': missing; name one"):
        list(gpqa.questions(source, CHOICES, seed=0))


# LiveCodeBench

CODE = Prompt("{{ question }}{{ starter_code }}")


def test_livecodebench_takes_the_contests_of_a_window_and_all_their_tests(tmp_path: Path):
    days = ("2024-12-31", "2025-01-01", "2025-02-03", "2025-03-31", "2025-04-01")
    source = files(write(tmp_path / "test.jsonl", programs(*days)))
    since, until = date(2025, 1, 1), date(2025, 3, 31)
    found = list(livecodebench.questions(source, CODE, since, until))
    assert [question.question_id for question in found] == ["abc1", "abc2", "abc3"]
    functional, streams = read_tests(found[0].gold), read_tests(found[1].gold)
    assert (functional.function, streams.function) == ("next", None)
    assert "class Solution" in found[0].prompt and "class Solution" not in found[1].prompt
    assert streams.tests == (CodeTest("1\n", "2\n"), *functional.tests[1:])
    assert len(streams.tests) == 1 + 3


@given(st.text())
def test_the_text_in_a_pickle_is_read_as_pickle_reads_it(text: str):
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickled_text(pickle.dumps(text, protocol)) == text


class Malicious:
    def __reduce__(self) -> tuple[Any, ...]:
        return exec, ("raise SystemExit('run')",)


@pytest.mark.parametrize(
    ("hidden", "words"),
    [
        (packed(Malicious()), "a pickle with STACK_GLOBAL, not of a text alone"),
        (packed(["[]", "[]"]), "a pickle with EMPTY_LIST, not of a text alone"),
        (packed(3), "a pickle with BININT1, not of a text alone"),
        (packed("{}"), "not a JSON array"),
        (packed("[1]"), "it has a test without the texts input and output"),
        (packed('[{"input": "1"}]'), "it has a test without the texts input and output"),
        ("!!", "fetch the file again"),
        ("aGVsbG8=", "neither JSON nor packed"),
        (packed("[]")[:-12], "fetch the file again"),
    ],
)
def test_hidden_tests_that_are_no_tests_are_refused_and_never_run(
    hidden: str, words: str, tmp_path: Path
):
    source = files(write(tmp_path / "test.jsonl", programs("2025-01-01", hidden=hidden)))
    with pytest.raises(ConfigError, match="row 1, column 'private_test_cases': ") as raised:
        list(livecodebench.questions(source, CODE))
    assert words in str(raised.value)


def test_tests_may_be_published_as_plain_json_and_a_gold_answer_may_list_them():
    tests = [{"input": "a", "output": "b"}]
    (test,) = read_tests(pack_tests(None, "[]", json.dumps(tests))).tests
    listed = json.dumps({"tests": tests, "function": "f", "limit_s": 2})
    assert read_tests(listed) == CodeTests("f", (test,), 2)
    assert test == CodeTest("a", "b")


@pytest.mark.parametrize("gold", ["7", "{}", '{"tests": []}', '{"tests": [3]}', "", "[]"])
def test_a_gold_answer_without_tests_is_refused(gold: str):
    with pytest.raises(ValueError):
        read_tests(gold)


def definition_of_programs(source: Path, **more: Any) -> dict[str, Any]:
    return {
        "name": "own",
        "loader": "livecodebench",
        "source": str(source),
        "prompt": "{{ question }}",
        "grader": "integer",
        "answer_opener": "```python\n",
        "answer_tokens": 8,
        **more,
    }


def test_a_tolerance_is_part_of_the_tests_only_where_it_is_set(mine: Path, tmp_path: Path):
    source = write(tmp_path / "test.jsonl", programs("2025-01-01"))
    exact, unset, near = (
        read_benchmark(mine, **definition_of_programs(source, grader="code_unsandboxed", **more))
        for more in ({}, {"float_tolerance": None}, {"float_tolerance": 1e-6})
    )
    assert content_hash(exact) == content_hash(unset) != content_hash(near)
    assert "float_tolerance" not in exact.questions[0].gold
    before, after = (read_tests(benchmark.questions[0].gold) for benchmark in (exact, near))
    assert after == replace(before, float_tolerance=1e-6)


@pytest.mark.parametrize(
    ("tolerance", "words"),
    [
        (-1, "float_tolerance: -1 is out of range; write a number 0 or more"),
        ("small", "float_tolerance: 'small' is not a number; write a number"),
    ],
)
def test_a_tolerance_that_is_none_is_refused(
    tolerance: Any, words: str, mine: Path, tmp_path: Path
):
    source = write(tmp_path / "test.jsonl", programs("2025-01-01"))
    with pytest.raises(ConfigError) as raised:
        read_benchmark(mine, **definition_of_programs(source, float_tolerance=tolerance))
    assert words in str(raised.value)


def test_a_tolerance_for_answers_that_are_no_programs_is_refused(mine: Path):
    words = (
        r"float_tolerance: 0\.1 needs tests of programs, but the gold answers of 'chain' are not"
    )
    with pytest.raises(ConfigError, match=words):
        read_benchmark(mine, name="chain", float_tolerance=0.1)


def test_a_date_that_is_none_and_an_empty_window_are_refused(mine: Path, tmp_path: Path):
    rows = programs("2025-01-01", "2025-13-01")
    source = files(write(tmp_path / "test.jsonl", rows))
    with pytest.raises(ConfigError, match="row 2, column 'contest_date': month must be in 1"):
        list(livecodebench.questions(source, CODE))
    definition = definition_of_programs(write(tmp_path / "good.jsonl", rows[:1]))
    with pytest.raises(ConfigError, match="count: 1 is more than the number of questions found, 0"):
        read_benchmark(mine, **definition, since="2025-02-01")
    with pytest.raises(ConfigError, match=r"\[0\]\.since: 'May' is not a date; write YYYY-MM-DD"):
        read_benchmark(mine, **definition, since="May")


# The shipped definitions

INVENTED = {
    "aime24": (".parquet", [{**row, "id": i} for i, row in enumerate(sums())]),
    "aime25": (".jsonl", sums()),
    "math500": (".jsonl", [{**row, "unique_id": row["id"]} for row in sums()]),
    "gpqa-diamond": (".csv", metals()),
}


@pytest.mark.parametrize("name", INVENTED)
def test_a_shipped_definition_reads_its_published_columns(name: str, mine: Path, tmp_path: Path):
    suffix, rows = INVENTED[name]
    entry: dict[str, Any] = {"name": name, "source": str(write(tmp_path / f"own{suffix}", rows))}
    if suffix != ".csv":
        entry["grader"] = "integer"
    found = read_benchmark(mine, **entry)
    assert len(found.questions) == len(rows)
    assert all(question.prompt.endswith("within \\boxed{}.") for question in found.questions)
    assert found.answer_opener == "\n**Final Answer**\n\\boxed{"


def test_livecodebenchs_definition_tells_programs_from_functions(tmp_path: Path):
    definition = read_yaml(conf_folder() / "benchmark" / "livecodebench.yaml")
    rows = programs("2025-01-02", "2025-01-02")
    source = files(write(tmp_path / "test.jsonl", rows))
    streams, function = livecodebench.questions(source, Prompt(definition["prompt"]))
    assert streams.prompt.endswith(
        "The program reads its input from standard input and prints its "
        "output to standard output. Give it\nwhole in one code block that begins with ```python."
    )
    assert function.prompt.endswith("```python\nclass Solution:\n    def next(self, n):\n```")


def test_every_hub_file_of_the_shipped_definitions_is_pinned_by_commit_and_content():
    for file in (conf_folder() / "benchmark").glob("*.yaml"):
        source = read_yaml(file).get("source")
        if isinstance(source, dict):  # a text is the path of a file that is shipped beside it
            assert re.fullmatch("[0-9a-f]{40}", source["revision"]), file
            assert re.fullmatch("[0-9a-f]{64}", source["sha256"]), file
