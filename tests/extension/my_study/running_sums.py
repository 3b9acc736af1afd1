"""A benchmark: what is left of a sum of digits modulo 100, in the notation that the embedded models know."""

import itertools
import random
from collections.abc import Iterator

from raysweep.spec import Question


def questions(count: int, seed: int, additions: int = 2) -> Iterator[Question]:
    """`count` questions of so many additions; the same for the same arguments."""
    for index in range(count):
        rng = random.Random(f"running sums/{seed}/{index}")
        letters = rng.sample("abcdefghijklmnopqrstuvwxyz", additions + 1)
        value = rng.randrange(100)
        definitions = [f"{letters[0]}={value:02d}"]
        for source, target in itertools.pairwise(letters):
            digit = rng.randint(2, 9)
            value = (value + digit) % 100
            definitions.append(f"{source}+{digit}={target}")
        prompt = ";".join([*definitions, f"{letters[-1]}?"])
        yield Question(f"sum-{index:02d}", prompt, f"{value:02d}")
