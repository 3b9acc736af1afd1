"""A shard of work: what one actor call makes, its receipt, and the keys of its randomness.

A shard has some questions and a range of sample indices for one engine on one benchmark. It becomes one
Parquet part. Its id is a hash of everything that determines its samples.
"""

import hashlib
import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from raysweep.spec import Decoding, EngineSpec, Question
from raysweep.system.content import INCIDENTAL, canonical, content_hash, hash_of_texts

if TYPE_CHECKING:
    from raysweep.storage.part import Part


class Place(NamedTuple):
    """Where the part of a shard lies: the file in the run's folder, and the shard's id.

    The part may have moved into another file of the same folder since. Reading then finds it there.
    """

    file: str
    shard_id: str


@dataclass(frozen=True)
class Shard:
    """One actor call and one Parquet part: some questions, and the same sample indices of each.

    shorter  places of parts with the same samples up to fewer token budgets, whose traces may be lengthened
    """

    engine: EngineSpec
    benchmark: str
    grader: str = field(metadata=INCIDENTAL)
    decoding: Decoding
    questions: tuple[Question, ...]
    sample_start: int
    sample_count: int
    shorter: tuple[Place, ...] = field(default=(), metadata=INCIDENTAL)

    @cached_property
    def shard_id(self) -> str:
        """Hash of everything that determines the samples.

        It is made from the hashes of engine, decoding and questions, which thousands of shards share.
        """
        questions = [question.asked for question in self.questions]
        whose = (self.engine.content, self.benchmark, self.decoding.content)
        return content_hash(*whose, questions, self.sample_start, self.sample_count)

    @cached_property
    def stream_id(self) -> str:
        """Name of the endless stream of samples to which the shard belongs."""
        texts = self.engine.canonical, canonical(self.benchmark), canonical(self.decoding)
        return hash_of_texts(*texts)

    @cached_property
    def _places(self) -> dict[str, int]:
        return {question.question_id: place for place, question in enumerate(self.questions)}

    def held_by(self, part: "Part") -> tuple[Question, ...]:
        """Its questions that a part has samples of, asked as they are now; in their order."""
        known = (self._places[name] for name in part.questions if name in self._places)
        own = (self.questions[place] for place in sorted(known))
        return tuple(question for question in own if part.holds(question))

    @property
    def indices(self) -> range:
        """The sample indices of each question."""
        return range(self.sample_start, self.sample_start + self.sample_count)

    @property
    def samples(self) -> int:
        return len(self.questions) * self.sample_count


# One sample: its question's id and its sample index.
Cell = tuple[str, int]


def most_tokens(decoding: Decoding) -> int:
    """The most tokens of a sample: its trace fills the largest budget, and each budget has an answer."""
    budgets = decoding.token_budgets
    return budgets[-1] + len(budgets) * decoding.answer_tokens


def est_tokens(shard: Shard) -> int:
    """The most tokens of a shard."""
    return shard.samples * most_tokens(shard.decoding)


def cells(shard: Shard) -> Iterator[Cell]:
    return itertools.product((question.question_id for question in shard.questions), shard.indices)


@dataclass(frozen=True)
class Receipt:
    """Confirms that a shard's part is published.

    tokens       tokens decoded for the shard, forks included
    wall_s       seconds from the shard's start to its part
    engine_s     seconds that its engine decoded since the previous receipt
    warnings     warnings about the engine that made the samples
    kept_tokens  tokens of its samples that an earlier part had already
    """

    shard_id: str
    samples: int
    tokens: int
    wall_s: float
    engine_s: float = 0.0
    warnings: tuple[str, ...] = ()
    kept_tokens: int = 0


def sample_key(seed: int, question_id: str, sample_index: int) -> int:
    """A sample's random key of 63 bits. All engines and budgets share it, which pairs configurations."""
    text = f"{seed}/{question_id}/{sample_index}"
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
