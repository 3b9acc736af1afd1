"""Whatever stands in a data set's file: it is questions, or one line of bad input that names the row."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from many import many

from raysweep.benchmarks import gpqa, livecodebench, table
from raysweep.benchmarks.prompts import Prompt
from raysweep.benchmarks.sources import File
from raysweep.errors import ConfigError
from raysweep.spec import Question

ROW = {
    "id": "1",
    "Record ID": "1",
    "contest_date": "2025-01-31T00:00:00",
    "question": "1 + 1 = ?",
    "answer": "2",
    "Question": "Which?",
    "Correct Answer": "a",
    "Incorrect Answer 1": "b",
    "Incorrect Answer 2": "c",
    "Incorrect Answer 3": "d",
    "question_content": "Add.",
    "question_title": "Sum",
    "question_id": "q1",
    "starter_code": "",
    "public_test_cases": '[{"input": "1", "output": "2", "testtype": "stdin"}]',
    "private_test_cases": "[]",
    "metadata": "{}",
}
IDS = ("id", "Record ID", "question_id")
VALUES = st.recursive(
    st.one_of(
        *(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=20)),
        st.sampled_from(
            ["", " ", "\0", "\ud800", "[", "[]", "{}", "eJw", "[[]]", '[{"input": 1}]', "=1+1"]
        ),
    ),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=5), inner, max_size=2)
    ),
    max_leaves=4,
)
PROMPT = Prompt("{{ question }} {{ choices | join }}")
CODE = Prompt("{{ question }} {% if starter_code %}{{ starter_code }}{% endif %}")
LOADERS: dict[str, Callable[[tuple[File, ...]], Any]] = {
    "table": lambda files: table.questions(files, id="id"),
    "gpqa": lambda files: gpqa.questions(files, PROMPT, seed=0),
    "livecodebench": lambda files: livecodebench.questions(files, CODE),
}


def encoded(rows: list[dict[str, Any]], ending: str) -> bytes:
    """The rows as a file; values that the format cannot hold are written as JSON."""
    if ending == "csv":
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode(errors="surrogatepass")
    if ending == "parquet":
        plain = [
            {k: v if isinstance(v, str) else json.dumps(v) for k, v in row.items()} for row in rows
        ]
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(plain), sink)
        return sink.getvalue()
    lines = [json.dumps(row) for row in rows]
    text = f"[{','.join(lines)}]" if ending == "json" else "\n".join(lines)
    return text.encode()


@st.composite
def row_files(draw: st.DrawFn) -> tuple[bytes, str]:
    """A file of up to three rows with values changed, and perhaps bytes."""
    rows: list[dict[str, Any]] = [
        ROW | dict.fromkeys(IDS, str(number)) for number in range(draw(st.integers(1, 3)))
    ]
    for _ in range(draw(st.integers(0, 3))):
        row = draw(st.sampled_from(rows))
        key = draw(st.sampled_from(sorted(ROW)))
        if draw(st.booleans()):
            row[key] = draw(VALUES)
        else:
            row.pop(key, None)
    ending = draw(st.sampled_from(["jsonl", "json", "csv", "parquet"]))
    try:
        data = bytearray(encoded(rows, ending))
    except UnicodeEncodeError:  # a lone surrogate, which Parquet cannot hold
        data = bytearray(encoded([dict(ROW)], ending))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        how = draw(st.sampled_from(["flip", "insert", "cut", "drop"]))
        if how == "flip" and data:
            data[place] ^= draw(st.integers(1, 255))
        elif how == "insert":
            data[place:place] = draw(st.binary(max_size=6))
        elif how == "cut":
            del data[place:]
        else:
            del data[place : place + draw(st.integers(1, 40))]
    return bytes(data), ending


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rows")


@many(400)
@given(made=row_files(), loader=st.sampled_from(sorted(LOADERS)))
def test_a_file_of_mutated_rows_is_questions_or_bad_input(folder: Path, made: tuple, loader: str):
    data, ending = made
    path = folder / f"rows.{ending}"
    path.write_bytes(data)
    try:
        found = list(LOADERS[loader]((File(path, str(path), "0"),)))
    except ConfigError as error:
        said = str(error)
        assert path.name in said and said == " ".join(said.split()) and said.isprintable()
        return
    assert all(isinstance(one, Question) and one.question_id.encode() for one in found)


@pytest.mark.parametrize("ending", ["jsonl", "json", "csv", "parquet"])
@pytest.mark.parametrize("loader", sorted(LOADERS))
def test_the_rows_that_are_mutated_are_questions_as_they_are(
    folder: Path, loader: str, ending: str
):
    path = folder / f"whole.{ending}"
    path.write_bytes(encoded([ROW, ROW | dict.fromkeys(IDS, "2")], ending))
    assert len(list(LOADERS[loader]((File(path, str(path), "0"),)))) == 2
