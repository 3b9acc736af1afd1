"""Invented benchmarks in the published forms, and a hub's cache that holds them."""

import base64
import csv
import json
import pickle
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from raysweep.benchmarks.gpqa import ID, QUESTION, RIGHT, WRONG

COMMIT = "0123456789abcdef0123456789abcdef01234567"

Rows = list[dict[str, Any]]


def sums(count: int = 30) -> Rows:
    """Problems in the columns of AIME25, with whole numbers as answers."""
    return [
        {"id": f"sum-{i}", "problem": f"Find $S = {i}+{i}$.", "answer": str(2 * i)}
        for i in range(count)
    ]


def metals(count: int = 6) -> Rows:
    """Questions in the columns of GPQA."""
    return [
        {ID: f"rec{i}", QUESTION: f"Which metal, of case {i}?\n", RIGHT: f"right {i}"}
        | {column: f"wrong {i}.{number}" for number, column in enumerate(WRONG)}
        for i in range(count)
    ]


def programs(*dates: str, hidden: str | None = None) -> Rows:
    """Questions in the columns of LiveCodeBench, one for each contest date."""
    public = json.dumps([{"input": "1\n", "output": "2\n", "testtype": "stdin"}])
    private = json.dumps([{"input": f"{i}\n", "output": f"{i + 1}\n"} for i in range(3)])
    return [
        {
            "question_id": f"abc{index}",
            "question_content": "Print the next number.",
            "contest_date": f"{day}T00:00:00",
            "starter_code": "" if index % 2 == 0 else "class Solution:\n    def next(self, n):",
            "metadata": json.dumps({} if index % 2 == 0 else {"func_name": "next"}),
            "public_test_cases": public,
            "private_test_cases": packed(private) if hidden is None else hidden,
        }
        for index, day in enumerate(dates)
    ]


def packed(content: Any) -> str:
    """As LiveCodeBench packs its hidden tests."""
    return base64.b64encode(zlib.compress(pickle.dumps(content))).decode()


def write(file: Path, rows: Iterable[Mapping[str, Any]]) -> Path:
    """The rows in the format of the file's suffix."""
    rows = list(rows)
    file.parent.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".jsonl":
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif file.suffix == ".json":
        file.write_text(json.dumps(rows))
    elif file.suffix == ".csv":
        with file.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, rows[0])
            writer.writeheader()
            writer.writerows(rows)
    else:
        pq.write_table(pa.Table.from_pylist(rows), file)
    return file


def write_hub_cache(cache: Path, data_set: str, file: str, rows: Rows) -> Path:
    """`rows` as a file of a data set that was fetched from the hub once; gives the cached file."""
    folder = cache / f"datasets--{data_set.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return write(folder / "snapshots" / COMMIT / file, rows)
