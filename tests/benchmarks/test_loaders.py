"""From files to questions: a definition describes any data set, and bad input is refused."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from support.configurations import read_benchmark, write_models
from support.data_sets import sums, write

from raysweep.errors import ConfigError
from raysweep.spec import Benchmark
from raysweep.system.content import content_hash


@pytest.fixture(scope="module")
def mine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_models(tmp_path_factory.mktemp("user"), "small")


def table(mine: Path, **keys: Any) -> Benchmark:
    """A table in the columns of AIME25."""
    answer = {"grader": "integer", "answer_opener": "\\boxed{", "answer_tokens": 8}
    columns = {"question": "problem", "answer": "answer", "id": "id"}
    return read_benchmark(mine, name="own", loader="table", **{**answer, **columns, **keys})


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
    found = read_benchmark(mine, name="aime25", source="here.jsonl", grader="integer")
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
    """Thirty sums, one row of which has other values. `...` removes the column."""
    rows = sums()
    rows[row] |= changes
    rows[row] = {key: value for key, value in rows[row].items() if value is not ...}
    return rows


@pytest.mark.parametrize(
    ("suffix", "rows", "words"),
    [
        (".jsonl", spoiled(4, answer=""), "row 5, column 'answer': empty; fill it in, or remove"),
        (".csv", spoiled(4, answer=" "), "row 5, column 'answer': empty"),
        (".jsonl", spoiled(4, answer=None), "row 5, column 'answer': None is neither a text nor"),
        (".parquet", spoiled(4, answer=None), "row 5, column 'answer': None is neither a text nor"),
        (
            ".jsonl",
            spoiled(4, answer=...),
            "row 5, column 'answer': missing; name one of the row's columns: id, pr",
        ),
        (
            ".jsonl",
            spoiled(0, problem=["a"]),
            "row 1, column 'problem': ['a'] is neither a text nor",
        ),
        (
            ".jsonl",
            spoiled(7, id="sum-2"),
            "row 8, column 'id': 'sum-2' is also the id of {file}, row 3",
        ),
        (
            ".csv",
            spoiled(7, id="sum-2"),
            "row 8, column 'id': 'sum-2' is also the id of {file}, row 3",
        ),
        (
            ".csv",
            [{"problem": "?", "id": "1"}],
            "row 1, column 'answer': missing; name one of the row's columns: pro",
        ),
        (
            ".jsonl",
            spoiled(4, problem="\ud800"),
            "row 5, column 'problem': '\\ud800' contains an unp",
        ),
        (".jsonl", [], ": has no rows; fetch the file again"),
        (".parquet", [], ": has no rows; fetch the file again"),
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
        ("a.jsonl", b'{"problem": "?", "answer": 1}\n\n{"problem": ', "row 3: cannot be read"),
        (
            "a.jsonl",
            b'{"problem": "?", "answer": 1}\n\n7\n',
            "row 3: 7 is not a mapping of columns",
        ),
        ("a.jsonl", b"\xff\xfe", "cannot be read"),
        ("a.json", b"{}", "not a JSON array"),
        (
            "a.csv",
            b"problem,answer,id\n?,1,x,y\n",
            "row 1: cannot be read (it has more fields than",
        ),
        ("a.parquet", b"PAR1 no more", "cannot be read"),
        ("a.parquet", b"version https://git-lfs", "cannot be read"),
        ("a.xlsx", b"", "is not a .jsonl, .json, .csv, .parquet file; convert it"),
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
        ({"source": "/nowhere.jsonl"}, f"{PLACE}.source: '/nowhere.jsonl' cannot be read (No such"),
        ({"source": "/"}, f"{PLACE}.source: '/' cannot be read (Is a directory"),
        ({"source": {"path": "{file}", "sha256": 64 * "0"}}, f"not the pinned {64 * '0'}"),
        (
            {"source": {"path": "{file}", "sha256": "ab"}},
            f"{PLACE}.source.sha256: 'ab' is not a SHA-2",
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
            f"{PLACE}.prompt: the template cannot be filled in ('qestion'",
        ),
        (
            {"prompt": "{{ question"},
            f"{PLACE}.prompt: the template cannot be filled in (unexpected",
        ),
        ({"prompt": "{{ ''.__class__.__mro__ }}"}, "unsafe"),
        (
            {"count": 31},
            f"{PLACE}.count: 31 is more than the number of questions found, 30; lower it",
        ),
        (
            {"grader": "letter"},
            f"{PLACE}.grader: 'letter' cannot grade against the gold answer '0'",
        ),
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
