"""From files to questions: any data set by its definition, GPQA, LiveCodeBench; and what is refused."""

import hashlib
import json
import pickle
import re
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from configurations import changed, read, write_models
from data_sets import metals, packed, programs, sums, write
from hypothesis import given
from hypothesis import strategies as st

from raysweep.benchmarks import gpqa, livecodebench
from raysweep.benchmarks.code_tests import CodeTest, pack_tests, pickled_text, read_tests
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.sources import File, local_file
from raysweep.configuration.config import conf_folder
from raysweep.configuration.definitions import read_yaml
from raysweep.errors import ConfigError
from raysweep.spec import Benchmark, content_hash


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small")


def benchmark(mine: Path, **keys: Any) -> Benchmark:
    """The benchmark that a user defines in place."""
    configuration = changed("sweep.benchmarks", [{"name": "own", **keys}])
    configuration["sweep"]["models"] = ["small"]
    return read(configuration, mine).sweep.benchmarks[0]


def table(mine: Path, **keys: Any) -> Benchmark:
    """A table in the columns of AIME25."""
    answer = {"grader": "integer", "answer_opener": "\\boxed{", "answer_tokens": 8}
    columns = {"question": "problem", "answer": "answer", "id": "id"}
    return benchmark(mine, loader="table", **{**answer, **columns, **keys})


def files(path: Path) -> tuple[File, ...]:
    return (local_file(path, None, "source"),)


# Any data set by its definition


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".csv", ".parquet"])
def test_the_same_rows_are_the_same_benchmark_in_every_format(
    suffix: str, mine: Path, tmp_path: Path
):
    found = table(mine, source=str(write(tmp_path / f"sums{suffix}", sums())))
    lines = table(mine, source=str(write(tmp_path / "other.jsonl", sums())))
    assert len(found.questions) == 30
    assert found.questions[3].question_id == "sum-3"
    assert found.questions[3].prompt == "Find $S = 3+3$."
    assert found.questions[3].gold == "6"
    assert content_hash(found) == content_hash(lines)


def test_the_template_of_the_prompt_sees_the_question_and_all_columns(mine: Path, tmp_path: Path):
    file = write(tmp_path / "sums.jsonl", [{**row, "unit": "kg"} for row in sums(2)])
    found = table(mine, source=str(file), prompt="{{ question }} In {{ row.unit }}, \\boxed{}.")
    assert found.questions[1].prompt == "Find $S = 1+1$. In kg, \\boxed{}."


def test_sources_follow_each_other_rows_without_ids_are_numbered_and_count_takes_the_first(
    mine: Path, tmp_path: Path
):
    source = [
        str(write(tmp_path / "a.jsonl", sums(2))),
        {"path": str(write(tmp_path / "b.csv", sums(3)))},
    ]
    found = table(mine, source=source, id=None, count=4)
    assert [q.question_id for q in found.questions] == ["row-1", "row-2", "row-3", "row-4"]
    assert [q.gold for q in found.questions] == ["0", "2", "0", "2"]


def test_a_source_is_relative_to_the_working_folder_and_replaces_the_defined_one_whole(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    write(tmp_path / "here.jsonl", sums(2))
    monkeypatch.chdir(tmp_path)
    configuration = changed(
        "sweep.benchmarks", [{"name": "aime25", "source": "here.jsonl", "grader": "integer"}]
    )
    configuration["sweep"]["models"] = ["small"]
    (found,) = read(configuration, mine).sweep.benchmarks
    assert found.questions[1].prompt.startswith("Find $S = 1+1$.\n\nPlease reason step by step")
    sha256 = hashlib.sha256((tmp_path / "here.jsonl").read_bytes()).hexdigest()
    assert found.sources == (f"{tmp_path / 'here.jsonl'}#sha256={sha256}",)


def test_where_a_benchmark_was_read_from_is_no_part_of_what_it_is(mine: Path, tmp_path: Path):
    one = table(mine, source=str(write(tmp_path / "one.jsonl", sums())))
    two = table(mine, source=str(write(tmp_path / "two.jsonl", sums())))
    other = table(mine, source=str(write(tmp_path / "other.jsonl", sums(29))))
    assert content_hash(one) == content_hash(two) != content_hash(other)


def test_a_pinned_content_is_accepted(mine: Path, tmp_path: Path):
    file = write(tmp_path / "sums.jsonl", sums())
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    assert table(mine, source={"path": str(file), "sha256": sha256}).questions


def spoiled(row: int, **changes: Any) -> list[dict[str, Any]]:
    """Thirty sums of which one row has other values; `...` takes the column away."""
    rows = sums()
    rows[row] |= changes
    rows[row] = {key: value for key, value in rows[row].items() if value is not ...}
    return rows


@pytest.mark.parametrize(
    ("suffix", "rows", "words"),
    [
        (".jsonl", spoiled(4, answer=""), "row 5, column 'answer': empty; fill it in, or remove"),
        (".csv", spoiled(4, answer=" "), "row 5, column 'answer': empty"),
        (".jsonl", spoiled(4, answer=None), "row 5, column 'answer': None is neither text nor"),
        (".parquet", spoiled(4, answer=None), "row 5, column 'answer': None is neither text nor"),
        (".jsonl", spoiled(4, answer=...), "row 5, column 'answer': missing; its columns: id, pr"),
        (".jsonl", spoiled(0, problem=["a"]), "row 1, column 'problem': ['a'] is neither text nor"),
        (
            ".jsonl",
            spoiled(7, id="sum-2"),
            "row 8, column 'id': 'sum-2' is the id of {file}, row 3",
        ),
        (".csv", spoiled(7, id="sum-2"), "row 8, column 'id': 'sum-2' is the id of {file}, row 3"),
        (
            ".csv",
            [{"problem": "?", "id": "1"}],
            "row 1, column 'answer': missing; its columns: pro",
        ),
        (".jsonl", [], ": no rows in it"),
        (".parquet", [], ": no rows in it"),
    ],
)
def test_a_row_that_cannot_be_asked_is_named_with_its_column(
    suffix: str, rows: list[dict[str, Any]], words: str, mine: Path, tmp_path: Path
):
    file = write(tmp_path / f"sums{suffix}", rows)
    with pytest.raises(ConfigError) as raised:
        table(mine, source=str(file))
    assert str(raised.value).startswith(str(file))
    assert words.format(file=file) in str(raised.value)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"problem": "?", "answer": 1}\n\n{"problem": ', "row 3: can't be read"),
        ("a.jsonl", b'{"problem": "?", "answer": 1}\n\n7\n', "row 3: 7 is no mapping of columns"),
        ("a.jsonl", b"\xff\xfe", "can't be read"),
        ("a.json", b"{}", "not a JSON array"),
        ("a.csv", b"problem,answer,id\n?,1,x,y\n", "row 1: can't be read (more fields than"),
        ("a.parquet", b"PAR1 no more", "can't be read"),
        ("a.parquet", b"version https://git-lfs", "can't be read"),
        ("a.xlsx", b"", "not a .jsonl, .json, .csv, .parquet file; convert it"),
    ],
)
def test_an_unreadable_file_is_named(
    name: str, content: bytes, words: str, mine: Path, tmp_path: Path
):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigError) as raised:
        table(mine, source=str(tmp_path / name), id=None)
    assert str(raised.value).startswith(str(tmp_path / name))
    assert words in str(raised.value)


PLACE = "sweep.benchmarks[0]"


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"source": "/nowhere.jsonl"}, f"{PLACE}.source: '/nowhere.jsonl' can't be read: No such"),
        ({"source": "/"}, f"{PLACE}.source: '/' can't be read: Is a directory"),
        ({"source": {"path": "{file}", "sha256": 64 * "0"}}, f"not {64 * '0'} as pinned"),
        (
            {"source": {"path": "{file}", "sha256": "ab"}},
            f"{PLACE}.source.sha256: 'ab' is no SHA-2",
        ),
        (
            {"source": {"file": "{file}"}},
            f"{PLACE}.source: 'file' is not a known key; known: path, sha",
        ),
        ({"source": {"hub": "a/b", "file": "c"}}, f"{PLACE}.source.revision: missing"),
        ({"source": 3}, f"{PLACE}.source: 3 is not a mapping"),
        ({"source": []}, f"{PLACE}.source: the list is empty"),
        ({"anwser": "answer"}, f"{PLACE}: 'anwser' is not a known key; did you mean 'answer'?"),
        (
            {"prompt": "{{ qestion }}"},
            f"{PLACE}.prompt: the template can't be filled in ('qestion'",
        ),
        ({"prompt": "{{ question"}, f"{PLACE}.prompt: the template can't be filled in (unexpected"),
        ({"prompt": "{{ ''.__class__.__mro__ }}"}, "unsafe"),
        ({"count": 31}, f"{PLACE}.count: 31 questions, where there are 30; lower it"),
        ({"grader": "letter"}, f"{PLACE}.grader: 'letter' finds no answer in the gold answer '0'"),
    ],
)
def test_a_definition_that_cannot_be_used_is_refused_by_field(
    keys: dict[str, Any], words: str, mine: Path, tmp_path: Path
):
    file = str(write(tmp_path / "sums.jsonl", sums()))
    given = {"source": file, **keys}
    if isinstance(given["source"], dict) and "{file}" in given["source"].values():
        given["source"] = {k: file if v == "{file}" else v for k, v in given["source"].items()}
    with pytest.raises(ConfigError) as raised:
        table(mine, **given)
    assert words in str(raised.value)


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
    with pytest.raises(ConfigError, match=r"row 1, column 'Incorrect Answer 2': missing; its col"):
        list(gpqa.questions(source, CHOICES, seed=0))


# LiveCodeBench

CODE = Prompt("{{ question }}{{ starter_code }}")


def test_livecodebench_takes_the_contests_of_a_window_and_all_their_tests(tmp_path: Path):
    days = ("2024-12-31", "2025-01-01", "2025-02-03", "2025-03-31", "2025-04-01")
    source = files(write(tmp_path / "test.jsonl", programs(*days)))
    window = {"since": date(2025, 1, 1), "until": date(2025, 3, 31)}
    found = list(livecodebench.questions(source, CODE, **window))
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
        (packed(Malicious()), "a pickle with STACK_GLOBAL in it, not of a text alone"),
        (packed(["[]", "[]"]), "a pickle with EMPTY_LIST in it"),
        (packed(3), "a pickle with BININT1 in it"),
        (packed("{}"), "not a JSON array"),
        (packed("[1]"), "a test that has not the texts input and output"),
        (packed('[{"input": "1"}]'), "a test that has not the texts input and output"),
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


def test_hidden_tests_may_be_plain_json():
    tests = json.dumps([{"input": "a", "output": "b"}])
    assert read_tests(pack_tests("[]", tests, None)).tests == (CodeTest("a", "b"),)


def test_a_date_that_is_none_and_an_empty_window_are_refused(mine: Path, tmp_path: Path):
    rows = programs("2025-01-01", "2025-13-01")
    source = files(write(tmp_path / "test.jsonl", rows))
    with pytest.raises(ConfigError, match="row 2, column 'contest_date': month must be in 1"):
        list(livecodebench.questions(source, CODE))
    definition = {
        "loader": "livecodebench",
        "source": str(write(tmp_path / "good.jsonl", rows[:1])),
        "prompt": "{{ question }}",
        "grader": "integer",
        "answer_opener": "```python\n",
        "answer_tokens": 8,
    }
    with pytest.raises(ConfigError, match="count: 1 questions, where there are 0"):
        benchmark(mine, **definition, since="2025-02-01")
    with pytest.raises(ConfigError, match=r"\[0\]\.since: 'May' is no date; write YYYY-MM-DD"):
        benchmark(mine, **definition, since="May")


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
    configuration = changed("sweep.benchmarks", [entry])
    configuration["sweep"]["models"] = ["small"]
    (found,) = read(configuration, mine).sweep.benchmarks
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
        if source is not None:
            assert re.fullmatch("[0-9a-f]{40}", source["revision"]), file
            assert re.fullmatch("[0-9a-f]{64}", source["sha256"]), file
