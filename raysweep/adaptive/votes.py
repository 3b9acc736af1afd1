"""What each sample of an engine on a benchmark says at each token budget, sample by sample.

A `Tally` counts votes and forgets whose they are. A decision compares engines sample by sample, since samples
of equal number share their randomness, so it needs to know.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from raysweep.grading.equivalence import Equivalence
from raysweep.metrics import Ints
from raysweep.reducing.answer_counts import CORRECT, WRONG, flatten, positions
from raysweep.spec import Benchmark
from raysweep.system.content import content_hash

# Besides CORRECT, which is 0, and classes of equal wrong answers to a question, which count from 1.
NO_VOTE, MISSING = -1, -2


@dataclass(frozen=True, eq=False)
class Votes:
    """The votes of an engine's first samples of every question of a benchmark.

    choice         CORRECT, NO_VOTE, MISSING or a class of wrong answers: [budgets, questions, samples]
    prompt_tokens  of the longest prompt
    """

    engine_id: str
    choice: Ints
    prompt_tokens: int

    @property
    def n(self) -> int:
        """The number of samples of each question."""
        return self.choice.shape[2]

    @cached_property
    def content(self) -> str:
        """Hash of the votes. The order in which samples were read does not change it."""
        data = np.ascontiguousarray(self.choice, dtype="<i4").tobytes()
        return content_hash(self.engine_id, list(self.choice.shape), data.hex(), self.prompt_tokens)

    def whole(self, budgets: int) -> bool:
        """Whether no sample is missing at the first `budgets` token budgets."""
        return bool((self.choice[:budgets] != MISSING).all())


def votes_of(
    samples: pa.Table,
    engine_id: str,
    benchmark: Benchmark,
    token_budgets: Sequence[int],
    n: int,
    equivalence: Equivalence | None = None,
) -> Votes:
    """The votes of the samples with indices below n.

    samples  with the columns of `answer_counts.COLUMNS`, each sample once

    Two wrong answers are the same choice if their texts are equal or `equivalence` finds them equal.
    """
    answers = flatten(samples, benchmark, token_budgets, equivalence)
    index = samples["sample_index"].to_numpy()[answers.sample]
    questions = len(benchmark.questions)
    shape = (len(token_budgets), questions, n)
    choice = np.full(shape, MISSING, dtype=np.int64)
    said = np.where(answers.outcome == WRONG, answers.choice + 2, NO_VOTE)
    said[answers.outcome == CORRECT] = CORRECT
    kept = index < n
    at = (answers.cell[kept] // questions, answers.cell[kept] % questions, index[kept])
    choice[at] = said[kept]
    asked = positions(samples["question_id"], [q.question_id for q in benchmark.questions]) >= 0
    prompts = samples["prompt_tokens"].to_numpy()[asked]
    return Votes(engine_id, numbered(choice), int(prompts.max(initial=0)))


def numbered(choice: NDArray[np.int64]) -> Ints:
    """The same classes of wrong answers, numbered from 1 per question in the order of samples and budgets."""
    renamed = choice.copy()
    for question in range(choice.shape[1]):
        own = choice[:, question].T.ravel()
        wrong = np.flatnonzero(own > 0)
        _, first, of = np.unique(own[wrong], return_index=True, return_inverse=True)
        rank = np.empty_like(first)
        rank[np.argsort(first)] = np.arange(1, len(first) + 1)
        own[wrong] = rank[of]
        renamed[:, question] = own.reshape(choice.shape[2], choice.shape[0]).T
    return renamed
