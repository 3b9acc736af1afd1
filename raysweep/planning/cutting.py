"""Finds the missing samples of an engine on a benchmark and cuts them into shards.

A cell is one sample: (question id, sample index). Finished parts hold cells, whatever the shape of their
shards, and up to how many token budgets. Only cells that no part holds as far as is wanted are cut into new
shards. So raising the number of samples, adding questions, resuming after a crash and lengthening the traces
of an adaptive run are the same operation.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

from raysweep.shard import Cell, Shard, cells
from raysweep.spec import Question
from raysweep.storage.part import Part


@dataclass(frozen=True)
class Cut:
    """The largest size of a shard: questions, and samples per question."""

    questions: int
    samples: int


@dataclass(frozen=True)
class Piece:
    """The samples of a finished part that match a stream, as a shard of that stream."""

    part: Part
    shard: Shard

    @property
    def budgets(self) -> int:
        """The number of token budgets up to which its samples go."""
        return len(self.shard.decoding.token_budgets)


# Samples of questions: a number for each question's id, whose bit i stands for the sample with index i.
Samples = dict[str, int]


def finished_pieces(
    made: Sequence[tuple[Shard, Part]],
) -> Iterator[tuple[Piece, Samples]]:
    """The finished pieces, each with those of its samples that no earlier piece holds.

    made  finished parts with their whole streams, those up to more token budgets first

    A part that adds nothing to earlier ones is left out. A part that holds more than is wanted is kept.
    """
    left = _samples(made[0][0].questions, made[0][0]) if made else {}
    places: dict[int, Places] = {}  # by the id of a stream's questions
    # Many parts share one mapping of questions (`storage.note_rows`).
    held: dict[tuple[int, int], tuple[Question, ...]] = {}
    for stream, part in made:
        key = id(stream.questions), id(part.questions)
        if key not in held:
            if key[0] not in places:
                places[key[0]] = _places(stream.questions)
            held[key] = _unchanged(places[key[0]], part)
        new: Samples = {}
        for name, samples in _samples(held[key], part).items():
            if first := samples & left.get(name, 0):
                new[name] = first
                left[name] ^= first
        if new:
            yield Piece(part, _as_shard(stream, part, held[key])), new


def _samples(questions: Iterable[Question], whose: Shard | Part) -> Samples:
    samples = ((1 << whose.sample_count) - 1) << whose.sample_start
    return {question.question_id: samples for question in questions}


def count(samples: Samples) -> int:
    """The number of samples."""
    return sum(map(int.bit_count, samples.values()))


def cells_of(samples: Samples) -> Iterator[Cell]:
    """The samples as cells."""
    for name, bits in samples.items():
        yield from ((name, index) for index in range(bits.bit_length()) if bits >> index & 1)


def missing_cells(wanted: Shard, pieces: Iterable[Piece]) -> set[Cell]:
    """The cells of a shard that no piece holds up to the shard's token budgets."""
    budgets = len(wanted.decoding.token_budgets)
    held = (cells(piece.shard) for piece in pieces if piece.budgets >= budgets)
    return set(cells(wanted)).difference(*held)


def missing_shards(whole: Shard, missing: set[Cell], cut: Cut) -> Iterator[Shard]:
    """Cut the `missing` cells of `whole` into shards of the configured size."""
    for start in range(whole.indices.start, whole.indices.stop, cut.samples):
        indices = range(start, min(start + cut.samples, whole.indices.stop))
        for (first, count), questions in _by_run(whole, missing, indices).items():
            for block in _blocks(questions, cut.questions):
                yield replace(whole, questions=block, sample_start=first, sample_count=count)


def _by_run(
    whole: Shard, missing: set[Cell], indices: range
) -> dict[tuple[int, int], Sequence[Question]]:
    """The questions that lack the same run of sample indices, by (first, length) of the run."""
    if len(missing) == whole.samples:
        return {(indices.start, len(indices)): whole.questions}
    by_run: dict[tuple[int, int], list[Question]] = defaultdict(list)
    if missing:
        for question in whole.questions:
            lacking = [index for index in indices if (question.question_id, index) in missing]
            for run in runs(lacking):
                by_run[run].append(question)
    return dict(by_run)


def split(shard: Shard, samples: int) -> list[Shard]:
    """The shard in pieces. The first has at most `samples` samples, of whole questions if one fits."""
    questions, whole = shard.questions, samples // shard.sample_count
    if whole >= len(questions):
        return [shard]
    if whole:
        return [replace(shard, questions=part) for part in (questions[:whole], questions[whole:])]
    count, one = max(1, samples), questions[:1]
    start, left = shard.sample_start + count, shard.sample_count - count
    pieces = [
        replace(shard, questions=one, sample_count=count),
        replace(shard, questions=one, sample_start=start, sample_count=left),
        replace(shard, questions=questions[1:]),
    ]
    return [piece for piece in pieces if piece.samples]


def runs(indices: Sequence[int]) -> Iterator[tuple[int, int]]:
    """(first, length) of each run of consecutive integers in an increasing sequence."""
    for _, run in itertools.groupby(enumerate(indices), key=lambda pair: pair[1] - pair[0]):
        members = [index for _, index in run]
        yield members[0], len(members)


# The place of each question of a stream among them, and the question, by its id.
Places = dict[str, tuple[int, Question]]


def _places(questions: Iterable[Question]) -> Places:
    return {question.question_id: (at, question) for at, question in enumerate(questions)}


def _unchanged(places: Places, part: Part) -> tuple[Question, ...]:
    """The stream's questions that the part holds and that are still asked in the same way, in their order."""
    held = (places[name] for name in part.questions if name in places)
    return tuple(
        question for _, question in sorted(held, key=itemgetter(0)) if part.holds(question)
    )


def _as_shard(whole: Shard, part: Part, questions: tuple[Question, ...]) -> Shard:
    """The samples of a part as a shard of its stream. `replace` would take ten times as long."""
    return Shard(
        whole.engine,
        whole.benchmark,
        whole.grader,
        whole.decoding,
        questions,
        part.sample_start,
        part.sample_count,
    )


def _blocks(questions: Sequence[Question], size: int) -> Iterator[tuple[Question, ...]]:
    for start in range(0, len(questions), size):
        yield tuple(questions[start : start + size])
