"""The study's questions answered in words: for one benchmark, at the smallest batch size of the run."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates
from raysweep.reporting.results import Results
from raysweep.system.quantities import human_bytes, plural

Row = Mapping[str, Any]
MOST_NAMED = 5  # engines
KIND = {"evicting": "evicting tokens", "quantized": "storing them in fewer bits"}


def study_notes(results: Results) -> Iterator[str]:
    """A sentence for each question that these scenarios can be asked; `results` are of one benchmark."""
    batch_size = results.batch_sizes[0]
    for threshold in results.summary.get("thresholds", []):
        if is_of(threshold, results, batch_size):
            yield threshold_in_words(threshold)
    for candidates in results.candidates.values():
        yield from _votes(candidates, batch_size)
        yield from _eviction(candidates, batch_size)


def is_of(threshold: Row, results: Results, batch_size: int) -> bool:
    """Whether a threshold of summary.json is of these results and the batch size."""
    named = threshold["benchmark"] in results.candidates
    return named and threshold["batch_size"] == batch_size


def threshold_in_words(threshold: Row) -> str:
    """`Scale threshold: not decided by these data; ...`"""
    if not threshold["decided"]:
        return f"Scale threshold: not decided by these data; {threshold['reason']}."
    size, low, high = (
        human_bytes(threshold[f"weights_bytes{bound}"]) for bound in ("", "_lo", "_hi")
    )
    return (
        f"Scale threshold: below weights of {size} more weights beat more tokens, above it more tokens "
        f"beat more weights (95% interval {low} to {high})."
    )


def _votes(candidates: Candidates, batch_size: int) -> Iterator[str]:
    rows = study.parallel_scaling(candidates, batch_size)
    if not rows:
        return
    ahead = [row for row in rows if row["favours"] == "parallel"]
    if not ahead:
        yield "Votes against one sample that thinks longer: at no memory are votes ahead by more than chance."
        return
    first = ahead[0]
    yield (
        f"Votes are first ahead of one sample by more than chance at {human_bytes(first['memory_bytes'])}, "
        f"with G = {first['parallel_group_size']}; at {len(ahead)} of the "
        f"{plural(len(rows), 'memory').replace('memorys', 'memories')} where either changes."
    )


def _eviction(candidates: Candidates, batch_size: int) -> Iterator[str]:
    rows = study.eviction_or_bits(candidates, batch_size)
    if not rows:
        return
    by_engine: dict[str, Counter[str]] = {}
    for row in rows:
        by_engine.setdefault(f"{row['model']} {row['weights']}", Counter())[row["favours"]] += 1
    for kind, said in KIND.items():
        other = next(name for name in KIND if name != kind)
        names = [name for name, found in by_engine.items() if found[kind] and not found[other]]
        if names:
            yield f"Within a KV cache, {said} is ahead for {_listed(names)}."
    if all(not (found["evicting"] or found["quantized"]) for found in by_engine.values()):
        yield "Evicting tokens or storing them in fewer bits: no model tells them apart."


def _listed(names: Sequence[str]) -> str:
    others = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {others} others" if others > 0 else "")
