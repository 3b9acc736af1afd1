"""A part: what a finished shard's file says of itself, in its own metadata, and where it lies."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from itertools import product
from typing import Any

from raysweep.spec import Question, content_hash

PART_KEY = b"raysweep.part"
LONGEST_GOLD = 200  # characters of a gold answer that are kept in a note
PART_NAME = re.compile(r"/shard-[^/]*\.parquet$")


@dataclass(frozen=True)
class Part:
    """What a finished part holds.

    tokens    decoded for it, forks included; 0 if not noted
    engine_s  seconds in which its engine decoded, since the part before it
    device    the kind of GPU that did, "" for a CPU or an unnamed one
    epoch     of the lease under which it was written; 0 without one
    golds     question id -> the gold answer of its answers' grades, as `gold_name` names it
    former_golds  question id -> the gold answer before the last correction
    """

    engine_id: str
    shard_id: str
    stream_id: str
    questions: dict[
        str, str
    ]  # question id -> `Question.asked`; `Question.content` in version 0.1.0
    sample_start: int
    sample_count: int
    graders: dict[str, str] = field(
        default_factory=dict
    )  # question id -> `grading.tag` of its answers
    tokens: int = 0
    engine_s: float = 0.0
    device: str = ""
    epoch: int = 0
    golds: dict[str, str] = field(default_factory=dict)
    former_golds: dict[str, str] = field(default_factory=dict)

    def holds(self, question: Question) -> bool:
        """Whether its samples of that question were asked what the question asks now."""
        return self.questions.get(question.question_id) in (question.asked, question.content)

    def gold_of(self, question: Question) -> str:
        """By which gold answer its answers to that question were graded, as `gold_name` names it.

        A part of version 0.1.0 names its question by prompt and gold, so it holds the gold of today.
        """
        return self.golds.get(question.question_id, gold_name(question.gold))

    @property
    def cells(self) -> Iterator[tuple[str, int]]:
        """(question id, sample index) of each of its samples."""
        return product(
            self.questions, range(self.sample_start, self.sample_start + self.sample_count)
        )

    @property
    def samples(self) -> int:
        return len(self.questions) * self.sample_count

    @property
    def name(self) -> str:
        """Where its file is, in the run's folder."""
        return part_name(self.engine_id, self.shard_id)


def part_name(engine_id: str, shard_id: str) -> str:
    return f"samples/engine={engine_id}/shard-{shard_id}.parquet"


def gold_name(gold: str) -> str:
    """A gold answer in a part's note: itself, or its hash where it is long (a program's tests)."""
    return gold if len(gold) <= LONGEST_GOLD else f"hash {content_hash(gold)}"


def encoded(part: Part) -> bytes:
    return json.dumps(asdict(part)).encode()


def decoded(data: bytes) -> Part:
    """A part as it was written; what a newer raysweep adds to it is left out. Raises ValueError."""
    values = json.loads(data)
    if not isinstance(values, Mapping):
        raise ValueError("it does not say what it holds")
    known = {one.name: values[one.name] for one in fields(Part) if one.name in values}
    for name, value in known.items():
        if not _fits(name, value):
            raise ValueError(f"its {name} is no {EXPECTED[name].__name__}")
    try:
        return Part(**known)
    except TypeError as error:
        raise ValueError("it does not say what it holds") from error


EXPECTED: dict[str, type] = {
    **dict.fromkeys(("engine_id", "shard_id", "stream_id", "device"), str),
    **dict.fromkeys(("questions", "graders", "golds", "former_golds"), dict),
    **dict.fromkeys(("sample_start", "sample_count", "tokens", "epoch"), int),
    "engine_s": float,
}


def _fits(name: str, value: Any) -> bool:
    expected = EXPECTED[name]
    if expected is dict:
        return isinstance(value, dict) and all(isinstance(entry, str) for entry in value.values())
    if expected is str:
        return isinstance(value, str)
    numbers = int if expected is int else (int, float)
    return isinstance(value, numbers) and not isinstance(value, bool) and value >= 0
