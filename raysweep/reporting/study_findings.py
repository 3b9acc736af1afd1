"""The study's questions, answered in words for one benchmark at the smallest batch size of the run."""

from collections.abc import Iterator, Sequence

from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates
from raysweep.reporting.quantisation import quantisations
from raysweep.reporting.results import Results
from raysweep.reporting.threshold_words import threshold_notes
from raysweep.system.quantities import human_bytes, plural

# At most this many engines are named in a sentence.
MOST_NAMED = 5

# What a difference, evicting less fewer bits, says by its sign.
WINS = {
    1: "evicting tokens is better than storing them in fewer bits",
    -1: "storing tokens in fewer bits is better than evicting them",
}

# How a claim after a search ends.
ADJUSTED = ", by intervals that hold for all of them together."


def study_notes(results: Results) -> Iterator[str]:
    """A sentence for each question that these results, which are of one benchmark, can answer."""
    batch_size = results.batch_sizes[0]
    yield from threshold_notes(results, batch_size)
    for candidates in results.candidates.values():
        yield from votes_in_words(candidates, batch_size)
        compared, stored = (
            list(eviction_in_words(candidates, batch_size)),
            quantisations(results.scenarios),
        )
        yield from compared
        if compared and stored:
            yield f"What was stored in fewer bits: {'; '.join(stored)}."


def votes_in_words(candidates: Candidates, batch_size: int) -> Iterator[str]:
    """At which memories votes are better, or one sample is, if these data decide it anywhere."""
    rows = study.parallel_scaling(candidates, batch_size)
    if not rows:
        return
    compared = plural(len(rows), "memory").replace("memorys", "memories")
    better = {
        side: [row for row in rows if row["favours"] == side] for side in ("parallel", "serial")
    }
    if better["parallel"]:
        first = better["parallel"][0]
        yield (
            "Votes are first better than one sample that thinks longer at "
            f"{human_bytes(first['memory_bytes'])}, where the best has G = {first['parallel_group_size']}. "
            f"They are better at {len(better['parallel'])} of the {compared} compared{ADJUSTED}"
        )
    elif better["serial"]:
        yield (
            "One sample that thinks longer is better than votes at "
            f"{len(better['serial'])} of the {compared} compared, and votes are at none{ADJUSTED}"
        )
    else:
        yield (
            "Whether votes are better than one sample that thinks longer is not decided by these data at "
            f"any of the {compared} compared."
        )


def eviction_in_words(candidates: Candidates, batch_size: int) -> Iterator[str]:
    """For which models and precisions evicting is better, or fewer bits are, if these data decide it."""
    claims = study.evicting_by_weights(candidates, batch_size)
    if not claims:
        return
    if all(claim.low == claim.high == 0 for claim in claims.values()):
        yield "In the KV cache, evicting tokens and fewer bits are equally accurate on every question."
        return
    compared = f"{len(claims)} compared"
    named = {
        sign: [" ".join(of) for of, claim in claims.items() if claim.sign == sign] for sign in WINS
    }
    for sign, better in WINS.items():
        if named[sign]:
            yield (
                f"In the KV cache, {better} for {_listed(named[sign])}, on average over memories "
                f"(of {compared}){ADJUSTED}"
            )
    if not any(named.values()):
        yield (
            "Whether evicting tokens is better than storing them in fewer bits is not decided by these data "
            f"for any model and precision (of {compared})."
        )


def _listed(names: Sequence[str]) -> str:
    others = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {others} others" if others > 0 else "")
