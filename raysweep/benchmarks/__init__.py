"""Benchmarks: one loader a module, each with `questions(count, seed)`; and how answers are graded.

To add a benchmark, write a module with that function, name it in LOADERS, and put a definition into
conf/benchmark/.
"""

from raysweep.benchmarks import chain, facts
from raysweep.spec import Benchmark

LOADERS = {"chain": chain.questions, "facts": facts.questions}


def load(
    *,
    name: str,
    loader: str,
    count: int,
    seed: int,
    grader: str,
    answer_opener: str,
    answer_tokens: int,
) -> Benchmark:
    """The first `count` questions that the named loader gives for `seed`, as a benchmark."""
    questions = tuple(LOADERS[loader](count, seed))
    return Benchmark(name, questions, grader, answer_opener, answer_tokens)
