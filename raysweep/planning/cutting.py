"""Finds the missing samples of a stream and cuts them into shards.

A cell is one sample: (question id, sample index). Finished parts cover cells, whatever the shape of their
shards. Only uncovered cells are cut into new shards. So raising the number of samples, adding questions and
resuming after a crash are the same operation.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from raysweep.shard import Cell, Shard, cells
from raysweep.spec import Question
from raysweep.storage.part import Part


@dataclass(frozen=True)
class Cut:
    """The largest size of a shard: questions, and samples per question."""

    questions: int
    samples: int


def finished_pieces(
    whole: Shard, parts: Iterable[Part]
) -> tuple[list[tuple[str, Shard]], set[Cell]]:
    """The finished pieces of `whole`, as (shard id, the part's matching samples), and the missing cells.

    A part that adds nothing to earlier ones is left out. A part that holds more than is wanted is kept.
    """
    missing, finished = set(cells(whole)), []
    for part in parts:
        piece = _unchanged(whole, part)
        covered = missing.intersection(cells(piece))
        if covered:
            missing -= covered
            finished.append((part.shard_id, piece))
    return finished, missing


def missing_shards(whole: Shard, missing: set[Cell], cut: Cut) -> Iterator[Shard]:
    """Cut the `missing` cells of `whole` into shards of the configured size."""
    for start in range(0, whole.sample_count, cut.samples):
        indices = range(start, min(start + cut.samples, whole.sample_count))
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


def _unchanged(whole: Shard, part: Part) -> Shard:
    """The part as a shard that keeps only questions that are still asked in the same way."""
    return replace(
        whole,
        questions=tuple(question for question in whole.questions if part.holds(question)),
        sample_start=part.sample_start,
        sample_count=part.sample_count,
    )


def _blocks(questions: Sequence[Question], size: int) -> Iterator[tuple[Question, ...]]:
    for start in range(0, len(questions), size):
        yield tuple(questions[start : start + size])
