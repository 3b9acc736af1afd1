"""How long the traces of a simulation are: as long as measured ones, or drawn.

Drawn lengths are log-normal, as those of reasoning models nearly are, and end at the largest budget. Where
an early end of thinking is extended (`Forcing.extension`) every trace fills it. Each sample has a length of
its own, whatever the order in which it is asked for.
"""

import math
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from raysweep.shard import Shard
from raysweep.spec import Decoding

FORK_SHARE = 0.25  # of the tokens that an answer may have, that it has

Stream = tuple[str, str]  # engine id, benchmark


@dataclass(eq=False)
class TraceLengths:
    """Tokens of each trace of a shard, its forks included.

    mean      of a drawn length, as a share of the largest budget, before it is cut there
    spread    standard deviation of its logarithm
    measured  lengths of finished traces, from which those of the same stream are drawn
    """

    mean: float
    spread: float
    seed: int = 0
    measured: Mapping[Stream, Sequence[int]] = field(default_factory=dict)
    _drawn: dict[tuple[str, str, str], list[int]] = field(default_factory=dict)

    def __call__(self, shard: Shard) -> list[int]:
        first, end = shard.indices.start, shard.indices.stop
        return [
            length
            for question in shard.questions
            for length in self._of_question(shard, question.question_id, end)[first:end]
        ]

    def _of_question(self, shard: Shard, question_id: str, count: int) -> list[int]:
        """The lengths of a question's samples, from the first on."""
        key = (shard.engine.engine_id, shard.benchmark, question_id)
        drawn = self._drawn.get(key)
        if drawn is None or len(drawn) < count:
            dice = random.Random(repr((self.seed, *key)))
            drawn = self._drawn[key] = [self._draw(shard, dice) for _ in range(count)]
        return drawn

    def _draw(self, shard: Shard, dice: random.Random) -> int:
        measured = self.measured.get((shard.engine.engine_id, shard.benchmark))
        if measured:
            return dice.choice(measured)
        largest, forks = shard.decoding.token_budgets[-1], fork_tokens(shard.decoding)
        if shard.decoding.extension:
            return largest + forks
        middle = math.log(self.mean * largest) - self.spread**2 / 2
        return min(largest, 1 + int(dice.lognormvariate(middle, self.spread))) + forks


def fork_tokens(decoding: Decoding) -> int:
    """Tokens of a trace's answers, about."""
    return round(FORK_SHARE * len(decoding.token_budgets) * decoding.answer_tokens)
