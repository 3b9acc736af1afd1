"""How long the sequences of a run may get: one bound for the plan, the jobs and every engine.

    row = prompt + largest token budget + forced closing + answer

No text has more tokens than bytes, so prompt and forced closing count by their bytes. A row counts at the
longest of all benchmarks. So an engine keeps its GPUs when only a benchmark with shorter ones is left.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from raysweep.run_config import RunConfig
from raysweep.shard import Shard
from raysweep.spec import Architecture, Benchmark, Decoding, Family

# The tokens of a chat template's own text, while a question is not rendered yet.
TEMPLATE_TOKENS = 512
# The tokens of a prompt whose question is missing, as in a plan without the benchmark's file.
MISSING_PROMPT_TOKENS = 2048


@dataclass(frozen=True)
class Lengths:
    """The most tokens of a sequence (`row`), of its prompt, and of a fork (`ahead`).

    ahead  forced closing and answer, which a row takes beyond the budget at which it forks
    """

    row: int
    prompt: int = 0
    ahead: int = 0

    @property
    def trace(self) -> int:
        """Tokens of a row that are decoded: all but the prompt."""
        return self.row - self.prompt

    @property
    def mean(self) -> int:
        """Tokens of a row at its mean length, while it grows from its prompt to its longest."""
        return self.prompt + -(-self.trace // 2)

    def within(self, a: Architecture) -> "Lengths":
        """The same for a model, which has no sequence beyond its context."""
        return replace(self, row=min(self.row, a.context), prompt=min(self.prompt, a.context))


def run_lengths(config: RunConfig) -> Lengths:
    """The lengths of a run: of all its models on all its benchmarks, whatever is finished."""
    return longest(
        _lengths(config.decoding(model, benchmark), _prompt_tokens(benchmark, model.family))
        for model in config.sweep.models
        for benchmark in config.sweep.benchmarks
    )


def shard_lengths(shards: Iterable[Shard]) -> Lengths:
    """The lengths of shards with rendered questions."""
    return longest(map(_of_shard, shards))


def longest(several: Iterable[Lengths]) -> Lengths:
    """The lengths that cover several others."""
    several = tuple(several)
    return Lengths(
        row=max((one.row for one in several), default=0),
        prompt=max((one.prompt for one in several), default=0),
        ahead=max((one.ahead for one in several), default=0),
    )


def _of_shard(shard: Shard) -> Lengths:
    prompt = max(len(question.rendered.encode()) for question in shard.questions)
    return _lengths(shard.decoding, prompt)


def _lengths(decoding: Decoding, prompt: int) -> Lengths:
    closing = len(decoding.forced_closing.encode())
    row = decoding.sequence_tokens(prompt, closing)
    return Lengths(row, prompt, closing + decoding.answer_tokens)


def _prompt_tokens(benchmark: Benchmark, family: Family) -> int:
    """The most tokens of the benchmark's prompts."""
    if benchmark.stands_in:
        return MISSING_PROMPT_TOKENS
    return max(_prompt_bounds(benchmark, family))


def _prompt_bounds(benchmark: Benchmark, family: Family) -> Iterator[int]:
    around = TEMPLATE_TOKENS + len((family.system or "").encode()) + len(family.think_open.encode())
    for question in benchmark.questions:
        own = question.rendered.encode()
        yield len(own) if own else around + len(question.prompt.encode())
