"""What a generate stage gave up, in few lines, however many shards it was."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from raysweep.reporting.wording import plural
from raysweep.scheduling.losses import Failure

MOST_LINES = 8
MOST_NOTED = 100


def lines(failures: Iterable[Failure]) -> Iterator[tuple[str, str]]:
    """(label, text) for each reason of each engine, those of most shards first; the rest in one line."""
    groups: dict[tuple[str, str, str, str | None], int] = defaultdict(int)
    for failure in failures:
        groups[failure.engine_id, failure.benchmark, failure.reason, failure.question_id] += 1
    ordered = sorted(groups.items(), key=lambda group: -group[1])
    for (engine_id, benchmark, reason, question), count in ordered[:MOST_LINES]:
        label = "given up" if question else "failed"
        yield label, f"{plural(count, 'shard')} of {engine_id} on {benchmark}: {reason}"
    if rest := [count for _, count in ordered[MOST_LINES:]]:
        yield "failed", f"{plural(sum(rest), 'shard')} more, for {len(rest):,} other reasons"


def quarantined(failures: Iterable[Failure]) -> dict[str, Any]:
    """What summary.json says of questions that kill: how many, and the first of them."""
    found: Sequence[tuple[str, str, str]] = sorted(
        {(f.engine_id, f.benchmark, f.question_id) for f in failures if f.question_id}
    )
    names = ("engine_id", "benchmark", "question_id")
    noted = [dict(zip(names, one, strict=True)) for one in found[:MOST_NOTED]]
    return {"quarantined_questions": len(found), "quarantined": noted}
