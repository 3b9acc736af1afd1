"""How long the traces of a simulation are: drawn from measured ones, or from a log-normal distribution.

The lengths of reasoning traces are nearly log-normal. A drawn length is cut at the largest budget. With an
extension (`Forcing.extension`) every trace fills that budget. The length of a sample depends on the seed and
its name only, not on the order in which samples are asked for.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.shard import Shard, most_tokens
from raysweep.spec import Decoding

# An answer is assumed to use this share of the tokens that it may have.
FORK_SHARE = 0.25

Stream = tuple[str, str]  # engine id, benchmark


@dataclass(eq=False)
class TraceLengths:
    """Tokens of each trace of a shard, its forks included.

    mean      mean of a drawn length before it is cut, as a share of the largest budget
    spread    standard deviation of its logarithm
    measured  lengths of finished traces, by stream
    """

    mean: float
    spread: float
    seed: int = 0
    measured: Mapping[Stream, Sequence[int]] = field(default_factory=dict)
    _drawn: dict[tuple[str, str, str, int], list[int]] = field(default_factory=dict)

    def __call__(self, shard: Shard) -> list[int]:
        first, end = shard.indices.start, shard.indices.stop
        return [
            length
            for question in shard.questions
            for length in self._of_question(shard, question.question_id, end)[first:end]
        ]

    def _of_question(self, shard: Shard, question_id: str, count: int) -> list[int]:
        """The lengths of a question's first `count` samples, or more."""
        key = (shard.engine.engine_id, shard.benchmark, question_id)
        named = (*key, len(shard.decoding.token_budgets))
        drawn = self._drawn.get(named)
        if drawn is None or len(drawn) < count:
            dice = random.Random(repr((self.seed, *key)))
            drawn = self._drawn[named] = [self._draw(shard, dice) for _ in range(count)]
        return drawn

    def _draw(self, shard: Shard, dice: random.Random) -> int:
        measured = self.measured.get((shard.engine.engine_id, shard.benchmark))
        if measured:
            return min(dice.choice(measured), most_tokens(shard.decoding))
        largest, forks = shard.decoding.token_budgets[-1], fork_tokens(shard.decoding)
        if shard.decoding.extension:
            return largest + forks
        middle = math.log(self.mean * largest) - self.spread**2 / 2
        return min(largest, 1 + int(dice.lognormvariate(middle, self.spread))) + forks


def fork_tokens(decoding: Decoding) -> int:
    """The estimated tokens of a trace's answers."""
    return round(FORK_SHARE * len(decoding.token_budgets) * decoding.answer_tokens)
