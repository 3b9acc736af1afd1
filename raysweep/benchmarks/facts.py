"""facts: knowledge memorised in the weights, asked as multiple choice.

A fixed table gives each of 6,144 three-letter names one lower-case letter. A question shows a name and
four choices:

    KQZ?m;t;e;w

The prompt does not contain the answer, and no reasoning finds it. A model either has it in its weights or
not, so more thinking does not help. Names of low rank occur often in training and names of high rank rarely,
so high ranks are hard for small models.
"""

import itertools
import random
import string
from collections.abc import Iterator

from raysweep.spec import Question

FACTS = 6144
CHOICES = 4


def table() -> list[tuple[str, str]]:
    """All (name, value) facts, most frequent in training first."""
    rng = random.Random("facts/table")
    names = ["".join(letters) for letters in itertools.product(string.ascii_uppercase, repeat=3)]
    return [(name, rng.choice(string.ascii_lowercase)) for name in rng.sample(names, FACTS)]


def make_question(rng: random.Random, name: str, value: str) -> str:
    """The prompt for a fact: its value among three wrong ones. The correct choice is the value itself."""
    others = [letter for letter in string.ascii_lowercase if letter != value]
    choices = [value, *rng.sample(others, CHOICES - 1)]
    rng.shuffle(choices)
    return f"{name}?{';'.join(choices)}"


def questions(count: int, seed: int) -> Iterator[Question]:
    """`count` test questions, spread evenly over the ranks. A seed always gives the same ones."""
    facts = table()
    for index in range(count):
        name, value = facts[(2 * index + 1) * len(facts) // (2 * count)]
        prompt = make_question(random.Random(f"facts/test/{seed}/{index}"), name, value)
        yield Question(f"facts-{index:03d}", prompt, value)
