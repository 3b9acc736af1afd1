"""The study's questions, answered in words for one benchmark at the smallest batch size of the run."""

from collections import Counter
from collections.abc import Iterator, Sequence

from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates
from raysweep.reporting.quantisation import quantisations
from raysweep.reporting.results import Results
from raysweep.reporting.threshold_words import threshold_notes
from raysweep.system.quantities import human_bytes, plural

# At most this many engines are named in a sentence.
MOST_NAMED = 5

# Each kind of KV policy as a comparison with the other kind.
WINS = {
    "evicting": "evicting tokens is better than storing them in fewer bits",
    "quantized": "storing tokens in fewer bits is better than evicting them",
}


def study_notes(results: Results) -> Iterator[str]:
    """A sentence for each question that these results, which are of one benchmark, can answer."""
    batch_size = results.batch_sizes[0]
    yield from threshold_notes(results, batch_size)
    for candidates in results.candidates.values():
        yield from _votes(candidates, batch_size)
        compared, stored = list(_eviction(candidates, batch_size)), quantisations(results.scenarios)
        yield from compared
        if compared and stored:
            yield f"What was stored in fewer bits: {'; '.join(stored)}."


def _votes(candidates: Candidates, batch_size: int) -> Iterator[str]:
    rows = study.parallel_scaling(candidates, batch_size)
    if not rows:
        return
    better = [row for row in rows if row["favours"] == "parallel"]
    if not better:
        yield "Votes are significantly better than one sample that thinks longer at no memory."
        return
    first = better[0]
    yield (
        "Votes are first significantly better than one sample that thinks longer at "
        f"{human_bytes(first['memory_bytes'])}, with G = {first['parallel_group_size']}. This holds at "
        f"{len(better)} of the {plural(len(rows), 'memory').replace('memorys', 'memories')} where the best "
        "of either changes."
    )


def _eviction(candidates: Candidates, batch_size: int) -> Iterator[str]:
    rows = study.eviction_or_bits(candidates, batch_size)
    if not rows:
        return
    by_engine: dict[str, Counter[str]] = {}
    for row in rows:
        by_engine.setdefault(f"{row['model']} {row['weights']}", Counter())[row["favours"]] += 1
    for kind, better in WINS.items():
        other = next(name for name in WINS if name != kind)
        names = [name for name, found in by_engine.items() if found[kind] and not found[other]]
        if names:
            yield f"In the KV cache, {better} for {_listed(names)}."
    if all(not (found["evicting"] or found["quantized"]) for found in by_engine.values()):
        yield "Evicting tokens and storing them in fewer bits do not differ significantly for any model."


def _listed(names: Sequence[str]) -> str:
    others = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {others} others" if others > 0 else "")
