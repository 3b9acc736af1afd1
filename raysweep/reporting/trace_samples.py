"""The samples of one engine on a benchmark as people read them, question by question, and their votes.

Parts are read once, a few ahead. A question is given as soon as all parts that hold it are read, so that
texts of few questions are in memory at a time.
"""

from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from raysweep.grading.equivalence import Equivalence
from raysweep.planning.plan import PlannedShard
from raysweep.spec import Benchmark
from raysweep.storage.damaged import DamagedPartError
from raysweep.storage.store import Store

# Parts that are read at a time; each is of some MB.
READ_AHEAD = 8

_LIGHT = ("token_budget", "thinking_tokens", "forced", "ended", "answer", "outcome")
LIGHT_COLUMNS = (
    *("question_id", "sample_index", "trace_tokens", "finish", "waits"),
    *(f"answers.list.element.{leaf}" for leaf in _LIGHT),
)
FULL_COLUMNS = (*LIGHT_COLUMNS, "answers.list.element.text", "token_ids")


class Answer(NamedTuple):
    """An answer at a token budget. `text` is None where texts were not read."""

    token_budget: int
    thinking_tokens: int
    forced: bool
    ended: bool
    answer: str | None
    outcome: str
    text: str | None


@dataclass(frozen=True)
class Sample:
    """One trace. `token_ids` is None where texts were not read."""

    index: int
    finish: str
    trace_tokens: int
    waits: int
    answers: tuple[Answer, ...]
    token_ids: tuple[int, ...] | None = None

    @property
    def thinking(self) -> tuple[int, ...]:
        """The tokens of the thinking: those before the longest answer's, without its close."""
        longest = max((answer.thinking_tokens for answer in self.answers), default=0)
        return (self.token_ids or ())[:longest]

    def at(self, token_budget: int) -> Answer | None:
        """The answer at a budget. None if the sample has none there."""
        return next((one for one in self.answers if one.token_budget == token_budget), None)


@dataclass(frozen=True)
class Wanted:
    """What is read of one engine on a benchmark.

    shards   its finished shards
    texts    the first samples of each question whose texts are read
    samples  the first samples of each question that count at all
    only     the only question that is read; None: all
    """

    shards: Sequence[PlannedShard]
    texts: int
    samples: int
    only: str | None = None


def samples_by_question(
    store: Store, wanted: Wanted, tell: Callable[[str], None]
) -> Iterator[tuple[str, list[Sample]]]:
    """Each question's samples by index, each sample once: of two that go up to other budgets the longer.

    tell  hears of parts that cannot be read; their samples are left out
    """
    shards = [one for one in wanted.shards if wanted.only in (None, *one.question_ids)]
    left = Counter(question for shard in shards for question in shard.question_ids)
    held: dict[str, dict[int, Sample]] = defaultdict(dict)
    for shard, table in _read_ahead(store, wanted, shards):
        if isinstance(table, DamagedPartError):
            tell(str(table))
        else:
            _keep(held, table, wanted, set(shard.question_ids))
        for question in shard.question_ids:
            left[question] -= 1
            if not left[question] and wanted.only in (None, question):
                found = held.pop(question, {})
                yield question, [found[index] for index in sorted(found)]


def _read_ahead(
    store: Store, wanted: Wanted, shards: Sequence[PlannedShard]
) -> Iterator[tuple[PlannedShard, pa.Table | DamagedPartError]]:
    def read(shard: PlannedShard) -> pa.Table | DamagedPartError:
        columns = FULL_COLUMNS if shard.sample_start < wanted.texts else LIGHT_COLUMNS
        assert shard.place is not None  # it is finished
        try:
            return store.read_part(shard.place, columns)
        except DamagedPartError as error:
            return error

    with ThreadPoolExecutor(READ_AHEAD) as readers:
        coming = deque()
        for shard in shards:
            coming.append((shard, readers.submit(read, shard)))
            if len(coming) > READ_AHEAD:
                ready, future = coming.popleft()
                yield ready, future.result()
        for ready, future in coming:
            yield ready, future.result()


def _keep(
    held: dict[str, dict[int, Sample]], table: pa.Table, wanted: Wanted, questions: set[str]
) -> None:
    asked = questions if wanted.only is None else questions & {wanted.only}
    chosen = pc.call_function(
        "is_in", [table["question_id"]], pc.SetLookupOptions(pa.array(sorted(asked)))
    )
    table = table.filter(chosen)
    has_text = np.array(table["sample_index"].to_pylist(), dtype=np.int64) < wanted.texts
    light = [name for name in table.column_names if name != "token_ids"]
    ids = table["token_ids"] if "token_ids" in table.column_names else None
    for place, row in enumerate(table.select(light).to_pylist()):
        if row["sample_index"] >= wanted.samples:
            continue
        # Only the ids that are shown become Python's numbers.
        tokens = ids[place].as_py() if ids is not None and has_text[place] else None
        sample, before = _sample(row, tokens), held[row["question_id"]].get(row["sample_index"])
        if before is None or len(sample.answers) > len(before.answers):
            held[row["question_id"]][sample.index] = sample


def _sample(row: Mapping[str, Any], tokens: Sequence[int] | None) -> Sample:
    has_text = tokens is not None
    answers = (
        Answer(**{leaf: one[leaf] for leaf in _LIGHT}, text=one.get("text") if has_text else None)
        for one in row["answers"] or ()
    )
    return Sample(
        index=row["sample_index"],
        finish=row["finish"] or "",
        trace_tokens=row["trace_tokens"] or 0,
        waits=row["waits"] or 0,
        answers=tuple(sorted(answers, key=lambda answer: answer.token_budget)),
        token_ids=None if tokens is None else tuple(tokens),
    )


CORRECT, WRONG = "correct", "wrong"


def choices(
    benchmark: Benchmark, question: int, samples: Sequence[Sample], known: Equivalence
) -> dict[str, str]:
    """For each answer that was given, the one that stands for all that count as the same.

    All correct answers are one. Wrong ones are if their texts are equal, or if algebra finds them equal.
    """
    correct: dict[str, None] = {}
    wrong: dict[str, None] = {}
    for answer in (one for sample in samples for one in sample.answers):
        if answer.outcome in (CORRECT, WRONG):
            (correct if answer.outcome == CORRECT else wrong)[answer.answer or ""] = None
    texts = list(wrong)
    places = np.arange(len(texts))
    merged = known.merged(
        benchmark.name, benchmark.grader, np.full(len(texts), question), places, texts
    )
    # `merged` may name an answer of another engine, as the first that was seen of its class.
    heads: dict[int, str] = {}
    found = {
        text: heads.setdefault(head, text)
        for text, head in zip(texts, merged.tolist(), strict=True)
    }
    first = next(iter(correct), "")
    return {**found, **dict.fromkeys(correct, first)}


@dataclass(frozen=True)
class Poll:
    """The vote of a group: answers with their votes, most first; those without a vote, by outcome."""

    votes: tuple[tuple[str, int, bool], ...]
    absent: Mapping[str, int]
    missing: int

    @property
    def winners(self) -> tuple[tuple[str, int, bool], ...]:
        """The answers with the most votes; several if they are tied, none if nobody votes."""
        return tuple(one for one in self.votes if one[1] == self.votes[0][1])


def poll(samples: Sequence[Sample], same: Mapping[str, str], token_budget: int, group: int) -> Poll:
    """How the first samples of a question vote at a token budget."""
    given = [sample.at(token_budget) for sample in samples if sample.index < group]
    answers = [one for one in given if one is not None]
    votes = Counter(
        (same[one.answer or ""], one.outcome == CORRECT)
        for one in answers
        if one.outcome in (CORRECT, WRONG)
    )
    absent = Counter(one.outcome for one in answers if one.outcome not in (CORRECT, WRONG))
    ranked = sorted(votes.items(), key=lambda entry: (-entry[1], not entry[0][1], entry[0][0]))
    return Poll(
        votes=tuple((text, count, right) for (text, right), count in ranked),
        absent=dict(absent),
        missing=group - len(answers),
    )
