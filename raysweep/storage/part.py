"""A part is what a finished shard left. Its note describes it, and its name follows from the shard."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from itertools import product
from typing import Any

from raysweep.spec import Question
from raysweep.storage.schemas import SCHEMA_VERSION
from raysweep.system.content import content_hash
from raysweep.system.json_text import parsed_json

PART_KEY = b"raysweep.part"
# A longer gold answer is named by its hash in the metadata.
LONGEST_GOLD = 200


@dataclass(frozen=True, slots=True)
class Part:
    """What a finished part holds.

    questions     hash of what each question asks (`Question.asked`), by question id; raysweep 0.1.0 wrote
                  `Question.content`
    graders       the grader and version (`grading.tag`) of each question's answers, by question id
    tokens        tokens decoded for the part, forks included; 0 if unknown
    engine_s      seconds that the engine decoded since its previous part
    device        the kind of GPU on which it ran; "" for a CPU or an unknown kind
    epoch         epoch of the lease under which the part was written; 0 without a lease
    golds         the gold answer by which answers are graded, named by `gold_name`, by question id
    former_golds  the gold answer before its last correction, by question id
    prompts       hash of the prompt as the model read it (`prompt_name`), by question id
    version       the schema version of its file; parts of version 1 have no prompts
    kept_tokens   tokens of its samples that a part up to fewer token budgets had already, forks included
    file          the file in which it lies, if it was read; no part of its note
    """

    engine_id: str
    shard_id: str
    stream_id: str
    questions: dict[str, str]
    sample_start: int
    sample_count: int
    graders: dict[str, str] = field(default_factory=dict)
    tokens: int = 0
    engine_s: float = 0.0
    device: str = ""
    epoch: int = 0
    golds: dict[str, str] = field(default_factory=dict)
    former_golds: dict[str, str] = field(default_factory=dict)
    prompts: dict[str, str] = field(default_factory=dict)
    version: int = SCHEMA_VERSION
    kept_tokens: int = 0
    file: str = field(default="", compare=False)

    def holds(self, question: Question) -> bool:
        """Whether it has samples of that question, asked as the question is now."""
        return self.questions.get(question.question_id) in (question.asked, question.content)

    def gold_of(self, question: Question) -> str:
        """The gold answer by which its answers to that question were graded, named by `gold_name`.

        A part of raysweep 0.1.0 names a question by prompt and gold answer, so its gold is the current one.
        """
        return self.golds.get(question.question_id, gold_name(question.gold))

    @property
    def cells(self) -> Iterator[tuple[str, int]]:
        """The (question id, sample index) of each sample."""
        return product(
            self.questions, range(self.sample_start, self.sample_start + self.sample_count)
        )

    @property
    def samples(self) -> int:
        return len(self.questions) * self.sample_count

    @property
    def name(self) -> str:
        """Its name, which is that of its file until it is moved into a compacted one."""
        return part_name(self.engine_id, self.shard_id)


def part_name(engine_id: str, shard_id: str) -> str:
    return f"samples/engine={engine_id}/shard-{shard_id}.parquet"


@lru_cache(maxsize=1 << 14)
def gold_name(gold: str) -> str:
    """The name of a gold answer in a part's metadata: itself, or its hash if it is long."""
    return gold if len(gold) <= LONGEST_GOLD else f"hash {content_hash(gold)}"


def prompt_name(rendered: str) -> str:
    """The name of a rendered prompt in a part's metadata."""
    return content_hash("prompt", rendered)


def encoded(part: Part) -> bytes:
    note = asdict(part)
    del note["file"]
    return json.dumps(note).encode()


def decoded(data: bytes) -> Part:
    """A part from its note. Raises ValueError."""
    return of_note(parsed_json(data))


def of_note(values: object) -> Part:
    """A part from its note as read. Unknown fields of a newer raysweep are ignored. Raises ValueError."""
    if not isinstance(values, Mapping):
        raise ValueError("it does not say what it holds")
    known = {name: values[name] for name in EXPECTED if name in values}
    for name, value in known.items():
        if not _fits(name, value):
            raise ValueError(f"its {name} is not of type {EXPECTED[name].__name__}")
    try:
        return Part(**{"version": 1, **known})  # version 1 did not say so here
    except TypeError as error:
        raise ValueError("it does not say what it holds") from error


EXPECTED: dict[str, type] = {
    **dict.fromkeys(("engine_id", "shard_id", "stream_id", "device"), str),
    **dict.fromkeys(("questions", "graders", "golds", "former_golds", "prompts"), dict),
    **dict.fromkeys(("sample_start", "sample_count", "tokens", "kept_tokens"), int),
    **dict.fromkeys(("epoch", "version"), int),
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
