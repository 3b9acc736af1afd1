"""From samples to votes: what each question's samples answer at each token budget. Pure: no I/O.

The one idea: a sample holds one answer per token budget, in a list of structs. The lists are flattened
once, and all answers of an engine on a benchmark are counted into *cells*, one per budget and question.
The result, a `Tally`, is a few integers per cell. Every group size follows from it without reading a
sample again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.grading.equivalence import Equivalence
from raysweep.grading.outcomes import OUTCOMES
from raysweep.spec import Benchmark, EngineSpec

# These two outcomes cast a vote. The others do not, but stay in the denominator.
CORRECT, WRONG = 0, 1

# The samples of these may change if they run again (`schemas.SAMPLES`).
MAY_CHANGE = ("seeded", "unseeded", "resumed")

# All that is read of a part. Texts and token ids, which are nearly all of its bytes, are not.
ANSWER_COLUMNS = tuple(
    f"answers.list.element.{leaf}"
    for leaf in ("token_budget", "thinking_tokens", "forced", "answer", "outcome", "answer_tokens")
)
COLUMNS = (
    *("question_id", "sample_index", "prompt_tokens", "trace_tokens", "finish", *ANSWER_COLUMNS),
    *("reused_tokens", "recomputed_tokens", "reproducible"),
)
DICTIONARIES = (
    "question_id",
    "finish",
    "reproducible",
    "answers.list.element.answer",
    "answers.list.element.outcome",
)

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Tally:
    """All that scenarios need of one engine's samples of a benchmark.

    Budgets are in the order of the sweep, and questions in that of the benchmark.

    correct           samples that are correct: [budgets, questions]
    wrong             samples of each distinct wrong answer, then zeros: [budgets, questions, classes]
    absent            samples that cast no vote: [budgets, questions]
    outcomes          answers of each outcome: [budgets, OUTCOMES]
    thinking_tokens   the sum over the samples: [budgets, questions]
    run_tokens        the tokens of one independent sample of every question: [budgets]
    tokens_generated  in traces and in the answers of forks; an unforced answer is part of its trace
    finishes          of the traces that were made up to the largest budget, the number by the way they ended
    right             1 for a sample that is correct, 0 for another, -1 for one that is missing:
                      [budgets, questions, samples]
    reused_tokens, recomputed_tokens  thinking tokens before answers that were prompts of their own
    seeded_samples    samples that may change if they run again, in another batch
    """

    engine: EngineSpec
    benchmark: Benchmark
    token_budgets: tuple[int, ...]
    correct: Ints
    wrong: Ints
    absent: Ints
    outcomes: Ints
    thinking_tokens: Ints
    run_tokens: NDArray[np.float64]
    longest_prompt_tokens: int
    tokens_generated: int
    n_samples_read: int
    finishes: Mapping[str, int]
    right: NDArray[np.int8]
    reused_tokens: int
    recomputed_tokens: int
    seeded_samples: int

    @cached_property
    def samples(self) -> Ints:
        """Samples of each question: [budgets, questions]."""
        return self.correct + self.wrong.sum(axis=2) + self.absent

    @cached_property
    def lengths(self) -> NDArray[np.float64]:
        """Mean thinking tokens of each question at the largest budget, NaN without samples: [questions]."""
        samples = self.samples[-1]
        return self.thinking_tokens[-1] / np.where(samples > 0, samples, np.nan)

    @cached_property
    def n_questions(self) -> Ints:
        """The number of questions that have a sample: [budgets]. The others are left out."""
        return (self.samples > 0).sum(axis=1)

    @cached_property
    def n_samples(self) -> Ints:
        """The fewest samples that any of those questions has: [budgets]."""
        most = np.iinfo(np.int64).max
        fewest = np.where(self.samples > 0, self.samples, most).min(axis=1, initial=most)
        return np.where(fewest == most, 0, fewest)


def positions(texts: pa.Array | pa.ChunkedArray, known: Sequence[str]) -> Ints:
    """The place of each text in `known`, -1 for one that is missing."""
    array = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    encoded = array.dictionary_encode()
    place = {text: index for index, text in enumerate(known)}
    places = [place.get(text, -1) for text in encoded.dictionary.to_pylist()]
    return np.array([*places, -1], dtype=np.int64)[_codes(encoded)]


def tally(
    samples: pa.Table,
    engine: EngineSpec,
    benchmark: Benchmark,
    token_budgets: Sequence[int],
    equivalence: Equivalence | None = None,
) -> Tally:
    """Count samples (COLUMNS) of the benchmark's questions, none of which may occur twice.

    Answers at other token budgets are ignored. Raises ValueError for an unknown outcome.
    """
    shape = (len(token_budgets), len(benchmark.questions))
    answers = flatten(samples, benchmark, token_budgets, equivalence)
    cell, outcome = answers.cell, answers.outcome

    def per_cell(chosen: NDArray[np.bool_]) -> Ints:
        return np.bincount(cell[chosen], minlength=shape[0] * shape[1]).reshape(shape)

    correct, absent = per_cell(outcome == CORRECT), per_cell(outcome > WRONG)
    budget = cell // max(1, shape[1])
    outcomes = np.bincount(
        budget * len(OUTCOMES) + outcome, minlength=shape[0] * len(OUTCOMES)
    ).reshape(shape[0], len(OUTCOMES))
    thinking = np.bincount(cell, answers.thinking_tokens, minlength=shape[0] * shape[1])
    return Tally(
        engine,
        benchmark,
        tuple(token_budgets),
        correct,
        _wrong_classes(answers, shape),
        absent,
        outcomes,
        thinking.reshape(shape).astype(np.int64),
        _run_tokens(answers, shape),
        longest_prompt_tokens=int(samples["prompt_tokens"].to_numpy().max(initial=0)),
        tokens_generated=_tokens_generated(samples, answers),
        n_samples_read=samples.num_rows,
        finishes=_finishes(samples, token_budgets[-1]),
        right=_right(answers, samples["sample_index"].to_numpy(), shape),
        reused_tokens=_sum(samples["reused_tokens"]),
        recomputed_tokens=_sum(samples["recomputed_tokens"]),
        seeded_samples=int((positions(samples["reproducible"], MAY_CHANGE) >= 0).sum()),
    )


def _sum(column: pa.ChunkedArray) -> int:
    """The sum of a column of whole numbers; nulls count as 0."""
    return int(column.fill_null(0).to_numpy().sum())


def _right(answers: "Answers", sample_index: Ints, shape: tuple[int, int]) -> NDArray[np.int8]:
    right = np.full((shape[0] * shape[1], int(sample_index.max(initial=-1)) + 1), -1, dtype=np.int8)
    right[answers.cell, sample_index[answers.sample]] = answers.outcome == CORRECT
    return right.reshape(*shape, right.shape[1])


def _finishes(samples: pa.Table, largest: int) -> dict[str, int]:
    """How traces ended. One that was cut at a smaller budget might have ended in any way.

    If those that ended before it were counted without the others, their share would be too large.
    """
    lists = samples["answers"].combine_chunks()
    at_largest = lists.flatten().field("token_budget").to_numpy() == largest
    whole = np.zeros(len(lists), dtype=np.bool_)
    whole[lists.value_parent_indices().to_numpy()[at_largest]] = True
    finish = samples["finish"] if whole.all() else samples["finish"].filter(pa.array(whole))
    counts = finish.drop_null().cast(pa.string()).value_counts().to_pylist()
    return {count["values"]: count["counts"] for count in counts}


@dataclass(frozen=True)
class Answers:
    """The answers of many samples, one array per column."""

    sample: Ints  # row of the sample
    cell: Ints  # budget * questions + question
    outcome: Ints  # index into OUTCOMES
    choice: Ints  # equal where the extracted answers are equal
    forced: NDArray[np.bool_]
    lower_budget: Ints  # the next smaller budget, -1 for the smallest
    thinking_tokens: Ints
    answer_tokens: Ints


def flatten(
    samples: pa.Table,
    benchmark: Benchmark,
    token_budgets: Sequence[int],
    equivalence: Equivalence | None,
) -> Answers:
    """Two answers are the same choice if their texts are equal or `equivalence` finds them equal."""
    samples = samples.unify_dictionaries()
    lists = samples["answers"].combine_chunks()
    structs = lists.flatten()
    question_ids = [question.question_id for question in benchmark.questions]
    sample = lists.value_parent_indices().to_numpy()
    question = positions(samples["question_id"], question_ids)[sample]
    given = structs.field("token_budget").to_numpy()
    budget = np.minimum(np.searchsorted(token_budgets, given), len(token_budgets) - 1)
    kept = np.flatnonzero(np.asarray(token_budgets)[budget] == given)

    def numbers(name: str) -> NDArray:
        return structs.field(name).to_numpy(zero_copy_only=False)[kept]

    texts = structs.field("answer").dictionary_encode()
    choice, outcome = _codes(texts)[kept], _outcomes(structs.field("outcome"))[kept]
    if equivalence is not None:
        wrong = np.flatnonzero((outcome == WRONG) & (choice >= 0))
        choice[wrong] = equivalence.merged(
            *(benchmark.name, benchmark.grader, question[kept][wrong], choice[wrong]),
            texts.dictionary.to_pylist(),
        )
    return Answers(
        sample=sample[kept],
        cell=(budget * len(question_ids) + question)[kept],
        outcome=outcome,
        choice=choice,
        forced=numbers("forced").astype(np.bool_),
        lower_budget=np.asarray([-1, *token_budgets])[budget[kept]],
        thinking_tokens=numbers("thinking_tokens"),
        answer_tokens=numbers("answer_tokens"),
    )


def _codes(encoded: pa.DictionaryArray) -> Ints:
    """The dictionary's index of each entry, -1 for a null."""
    return encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64)


def _outcomes(names: pa.Array) -> Ints:
    outcomes = positions(names, OUTCOMES)
    if outcomes.min(initial=0) < 0:
        unknown = sorted(set(names.unique().to_pylist()) - set(OUTCOMES), key=str)
        raise ValueError(f"samples: unknown outcomes {unknown}; known: {', '.join(OUTCOMES)}")
    return outcomes


def _wrong_classes(answers: Answers, shape: tuple[int, int]) -> Ints:
    """For each cell the number of samples of each distinct wrong answer: [budgets, questions, classes].

    The most frequent comes first, so that the order in which answers were met changes nothing.
    """
    is_wrong = answers.outcome == WRONG
    n_choices = int(answers.choice.max(initial=0)) + 2
    keys = answers.cell[is_wrong] * n_choices + answers.choice[is_wrong] + 1
    distinct, sizes = np.unique(keys, return_counts=True)
    cell = distinct // n_choices
    order = np.lexsort((-sizes, cell))
    cell, sizes = cell[order], sizes[order]
    rank = np.arange(len(cell)) - np.searchsorted(cell, cell)
    classes = np.zeros((shape[0] * shape[1], int(rank.max(initial=-1)) + 1), dtype=np.int64)
    classes[cell, rank] = sizes
    return classes.reshape(*shape, classes.shape[1])


def _run_tokens(answers: Answers, shape: tuple[int, int]) -> NDArray[np.float64]:
    """Per budget, the sum over the questions of the mean tokens of a sample run for it alone."""
    n_cells = shape[0] * shape[1]
    samples = np.bincount(answers.cell, minlength=n_cells)
    spent = answers.thinking_tokens + answers.answer_tokens
    tokens = np.bincount(answers.cell, spent, minlength=n_cells)
    return (tokens / np.maximum(samples, 1)).reshape(shape).sum(axis=1)


def _tokens_generated(samples: pa.Table, answers: Answers) -> int:
    """Tokens of traces and forks. An answer that serves several budgets counts at the smallest of them."""
    traces = int(samples["trace_tokens"].to_numpy().sum())
    decoded = answers.forced & (answers.thinking_tokens >= answers.lower_budget)
    return traces + int(answers.answer_tokens[decoded].sum())
