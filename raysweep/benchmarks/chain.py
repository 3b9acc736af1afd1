"""chain: a procedural reasoning task of graded difficulty, exactly verifiable.

A problem of level n defines one letter by a two-digit number and n further letters by one operation
each (+, - or x by a digit, modulo 100) on the letter before. The definitions are shuffled, each is
written with the known letter first ("h-2=s" defines s), and the question asks for the last letter:

    s*7=r;h=09;h-2=s;r?

Solving it takes n dependent steps, so a larger token budget reaches higher levels. The task measures
reasoning, as `facts` measures knowledge.
"""

import itertools
import random
import string
from collections.abc import Iterator
from dataclasses import dataclass

from raysweep.spec import Question

MODULUS = 100
LEVELS = range(1, 13)


@dataclass(frozen=True)
class Step:
    """One operation: `source operator operand = target`, with the values on both sides."""

    source: str
    operator: str
    operand: int
    target: str
    source_value: int
    target_value: int

    @property
    def definition(self) -> str:
        return f"{self.source}{self.operator}{self.operand}={self.target}"


@dataclass(frozen=True)
class Problem:
    """A chain of steps in order of dependence, and its definitions in the order in which they are shown."""

    first: str
    first_value: int
    steps: tuple[Step, ...]
    shown: tuple[str, ...]

    @property
    def prompt(self) -> str:
        return ";".join(self.shown) + f";{self.steps[-1].target}?"

    @property
    def gold(self) -> str:
        return f"{self.steps[-1].target_value:02d}"

    @property
    def worked(self) -> str:
        """The solution as models learn it: each definition is copied and then computed."""
        lines = [f"{self.first}={self.first_value:02d}"]
        for step in self.steps:
            numbers = (
                f"{step.source_value:02d}{step.operator}{step.operand}={step.target_value:02d}"
            )
            lines.append(f"{step.definition}:{numbers}")
        return ";".join(lines) + ";"


def make_problem(rng: random.Random, level: int) -> Problem:
    """Draw a problem with `level` dependent operations."""
    letters = rng.sample(string.ascii_lowercase, level + 1)
    first_value = value = rng.randrange(MODULUS)
    steps = []
    for source, target in itertools.pairwise(letters):
        operator = rng.choice("+-*")
        operand = rng.randint(2, 9)
        result = apply(operator, value, operand)
        steps.append(Step(source, operator, operand, target, value, result))
        value = result
    shown = [f"{letters[0]}={first_value:02d}", *(step.definition for step in steps)]
    rng.shuffle(shown)
    return Problem(letters[0], first_value, tuple(steps), tuple(shown))


def apply(operator: str, value: int, operand: int) -> int:
    """`value operator operand` modulo 100."""
    result = {"+": value + operand, "-": value - operand, "*": value * operand}[operator]
    return result % MODULUS


def questions(count: int, seed: int) -> Iterator[Question]:
    """`count` test questions, spread evenly over the levels. A seed always gives the same ones."""
    for index in range(count):
        level = LEVELS[index * len(LEVELS) // count]
        problem = make_problem(random.Random(f"chain/test/{seed}/{index}"), level)
        yield Question(f"chain-{index:03d}", problem.prompt, problem.gold)
