"""From samples to votes: what each question's samples said at each token budget. Pure: no I/O.

The one idea: a sample carries one answer per token budget, in a list of structs. Flattened once
into parallel arrays (`Answers`), the rest is counting, and what remains, a `Tally` per budget, is a
few integers per question, from which every group size follows without touching a sample again.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.equivalence import Equivalence
from raysweep.spec import Benchmark, EngineSpec

OUTCOMES = ("correct", "wrong", "unanswered", "cut_off", "error")
CORRECT, WRONG = 0, 1  # these two cast a vote; the others stay in the denominator

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Votes:
    """What the samples of one question said at one token budget."""

    correct: int
    wrong: tuple[int, ...]  # samples of each distinct wrong answer
    absent: int

    @cached_property
    def samples(self) -> int:
        return self.correct + sum(self.wrong) + self.absent


@dataclass(frozen=True)
class Tally:
    """All that scenarios need of one engine's samples of a benchmark at one token budget."""

    engine: EngineSpec
    benchmark: Benchmark
    token_budget: int
    votes: tuple[Votes, ...]  # one per question of the benchmark, in its order
    outcomes: Ints  # number of answers with each of OUTCOMES
    thinking_tokens: int  # summed over the samples
    run_tokens: float  # thinking and answer, of one independent sample of every question
    longest_prompt_tokens: int

    @property
    def n_questions(self) -> int:
        """Questions that have a sample; the others have no say."""
        return sum(votes.samples > 0 for votes in self.votes)

    @cached_property
    def n_samples(self) -> int:
        """The fewest samples that any of those questions has."""
        return min((votes.samples for votes in self.votes if votes.samples), default=0)


@dataclass(frozen=True)
class Answers:
    """The answers of many samples, one array a column."""

    question: Ints  # index into the benchmark's questions
    token_budget: Ints
    outcome: Ints  # index into OUTCOMES
    choice: NDArray[np.integer]  # equal where the extracted answers are
    forced: NDArray[np.bool_]
    thinking_tokens: Ints
    answer_tokens: Ints

    def at(self, token_budget: int) -> "Answers":
        chosen = self.token_budget == token_budget
        return Answers(*(getattr(self, field.name)[chosen] for field in fields(self)))


def positions(texts: pa.Array | pa.ChunkedArray, known: Sequence[str]) -> Ints:
    """Where in `known` each text is, -1 for one that is not there."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = array.dictionary_encode()
    place = {text: index for index, text in enumerate(known)}
    places = [place.get(text, -1) for text in encoded.dictionary.to_pylist()]
    return np.array(places, dtype=np.int64)[encoded.indices.to_numpy()]


def flatten_answers(
    samples: pa.Table, benchmark: Benchmark, equivalence: Equivalence | None = None
) -> Answers:
    """All answers of samples that are all of the benchmark's questions, each there once.

    Answers are one choice if their texts are equal, and where `equivalence` finds them so.
    """
    lists = samples["answers"].combine_chunks()
    structs = lists.flatten()
    question_ids = [question.question_id for question in benchmark.questions]
    question_of_sample = positions(samples["question_id"], question_ids)

    def column(name: str) -> NDArray:
        return structs.field(name).to_numpy(zero_copy_only=False)

    question = question_of_sample[lists.value_parent_indices().to_numpy()]
    said = structs.field("answer").fill_null("").dictionary_encode()
    choice, outcome = said.indices.to_numpy().astype(np.int64), _outcomes(structs.field("outcome"))
    if equivalence:
        wrong, texts = outcome == WRONG, said.dictionary.to_pylist()
        choice[wrong] = equivalence.merged(
            benchmark.name, benchmark.grader, question[wrong], choice[wrong], texts
        )
    return Answers(
        question=question,
        token_budget=column("token_budget"),
        outcome=outcome,
        choice=choice,
        forced=column("forced").astype(np.bool_),
        thinking_tokens=column("thinking_tokens"),
        answer_tokens=column("answer_tokens"),
    )


def tallies(
    answers: Answers,
    longest_prompt_tokens: int,
    engine: EngineSpec,
    benchmark: Benchmark,
    token_budgets: Sequence[int],
) -> Iterator[Tally]:
    """One tally per token budget of an engine's answers on a benchmark."""
    for token_budget in token_budgets:
        here = answers.at(token_budget)
        yield Tally(
            engine,
            benchmark,
            token_budget,
            votes=_votes(here, len(benchmark.questions)),
            outcomes=np.bincount(here.outcome, minlength=len(OUTCOMES)),
            thinking_tokens=int(here.thinking_tokens.sum()),
            run_tokens=_run_tokens(here),
            longest_prompt_tokens=longest_prompt_tokens,
        )


def tokens_generated(samples: pa.Table, answers: Answers) -> int:
    """Tokens decoded: traces, and the answers of forks. An unforced answer is part of its trace."""
    traces = int(samples["trace_tokens"].to_numpy().sum())
    return traces + int(answers.answer_tokens[answers.forced].sum())


def _outcomes(names: pa.Array) -> Ints:
    outcomes = positions(names, OUTCOMES)
    if outcomes.min(initial=0) < 0:
        unknown = sorted(set(names.to_pylist()) - set(OUTCOMES), key=str)
        raise ValueError(f"samples: unknown outcomes {unknown}; known: {', '.join(OUTCOMES)}")
    return outcomes


def _votes(answers: Answers, n_questions: int) -> tuple[Votes, ...]:
    correct = np.bincount(answers.question[answers.outcome == CORRECT], minlength=n_questions)
    absent = np.bincount(answers.question[answers.outcome > WRONG], minlength=n_questions)
    wrong = _class_sizes(answers, n_questions)
    return tuple(map(Votes, correct.tolist(), wrong, absent.tolist()))


def _class_sizes(answers: Answers, n_questions: int) -> list[tuple[int, ...]]:
    """For each question the number of samples of each distinct wrong answer."""
    is_wrong = answers.outcome == WRONG
    n_choices = int(answers.choice.max(initial=0)) + 1
    cells = answers.question[is_wrong] * n_choices + answers.choice[is_wrong]
    distinct, sizes = np.unique(cells, return_counts=True)  # sorted, so a question's lie together
    ends = np.searchsorted(distinct, n_choices * np.arange(1, n_questions))
    return [tuple(part.tolist()) for part in np.split(sizes, ends)]


def _run_tokens(answers: Answers) -> float:
    """Sum over the questions of the mean tokens of a sample that is run for this budget alone."""
    samples = np.bincount(answers.question)
    tokens = np.bincount(answers.question, answers.thinking_tokens + answers.answer_tokens)
    return float((tokens[samples > 0] / samples[samples > 0]).sum())
