"""A shard of work: what one actor call makes, what comes back of it, and the keys of its randomness.

A shard is some questions and a range of sample indices for one engine on one benchmark. It becomes one
Parquet part. Its id is a hash of everything that determines the samples.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

from raysweep.spec import INCIDENTAL, Decoding, EngineSpec, Question, content_hash


@dataclass(frozen=True)
class Shard:
    """One actor call and one Parquet part: some questions, a range of sample indices of each."""

    engine: EngineSpec
    benchmark: str
    grader: str = field(metadata=INCIDENTAL)
    decoding: Decoding
    questions: tuple[Question, ...]
    sample_start: int
    sample_count: int

    @cached_property
    def shard_id(self) -> str:
        """Of its parts' hashes, as thousands of shards share an engine and its questions."""
        questions = [question.asked for question in self.questions]
        whose = (self.engine.content, self.benchmark, self.decoding.content)
        return content_hash(*whose, questions, self.sample_start, self.sample_count)

    @cached_property
    def stream_id(self) -> str:
        """Names the endless stream of samples of which shards are finite pieces."""
        return content_hash(self.engine, self.benchmark, self.decoding)

    @property
    def indices(self) -> range:
        """The sample indices of each question."""
        return range(self.sample_start, self.sample_start + self.sample_count)

    @property
    def samples(self) -> int:
        return len(self.questions) * self.sample_count


Cell = tuple[str, int]  # one sample: its question's id and its sample index


def est_tokens(shard: Shard) -> int:
    """Tokens at most: each trace fills the largest budget, each smaller budget is a forced answer."""
    decoding = shard.decoding
    budgets = decoding.token_budgets
    return shard.samples * (budgets[-1] + len(budgets) * decoding.answer_tokens)


def cells(shard: Shard) -> Iterator[Cell]:
    return itertools.product((question.question_id for question in shard.questions), shard.indices)


@dataclass(frozen=True)
class Receipt:
    """A shard whose part is published.

    tokens    decoded for it, forks included
    wall_s    seconds from its beginning to its part
    engine_s  seconds in which its engine decoded, since the receipt before this one
    warnings  what is to be known of the engine that made the samples
    """

    shard_id: str
    samples: int
    tokens: int
    wall_s: float
    engine_s: float = 0.0
    warnings: tuple[str, ...] = ()


def sample_key(seed: int, question_id: str, sample_index: int) -> int:
    """63 bits, the same under every engine and budget, so that configurations are compared in pairs."""
    text = f"{seed}/{question_id}/{sample_index}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
