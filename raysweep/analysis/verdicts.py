"""The study's six findings, each put to the scenarios of one benchmark at a batch size. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) states them for one family of models and without error bars. Here
each is a sentence about smaller and larger effective sizes (bytes of weights) that any family can answer,
with an effect that is fixed before the data are seen. An accuracy of one side less that of the other is
always meant at equal memory, averaged over the memories of `halving.contests`:

    scale      more weights less more tokens, by effective size: see `threshold`
    bits       smaller models of more bits less a model of the fewest bits that takes at least as many bytes
    votes      with votes less one sample, within each effective size
    cache      any KV policy less the full cache
    eviction   evicting less fewer bits, within each effective size
    latency    not asked: a run measures no latency

The smaller sizes are half of the effective sizes that can be compared, the larger sizes the other half. Of
an odd number the middle one belongs to neither.

A finding *holds* if all that it says is above 0 by its 95% interval, and all that it excludes is below
SMALLEST. It *does not hold* if the interval of something that it says lies below SMALLEST, or that of
something that it excludes lies above 0. Otherwise these data do not decide it. That is no sign of its being
false. The intervals of a finding are simultaneous.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.claims import FEWEST_QUESTIONS, Claim, judge
from raysweep.analysis.halving import Contest, Halvings, contests
from raysweep.analysis.study import EVICTING, QUANTIZED, SEED, of_kind
from raysweep.analysis.threshold import Threshold

HOLDS, FAILS, OPEN, NOT_ASKED = "holds", "does not hold", "not decided", "not asked"

# An accuracy that is surely gained by less than this is not what a finding claims. The study reads steps of 2
# to 5 points from its frontiers.
SMALLEST = 0.02

FINDINGS = {
    "scale": "Below an effective size memory is better spent on more weights, above it on more tokens.",
    "bits": "A smaller model with more bits is better than a larger model with the fewest bits.",
    "votes": "Votes pay only for the larger effective sizes.",
    "cache": "Compressing the KV cache is better than keeping all of it.",
    "eviction": "Evicting tokens is better than fewer bits for the smaller sizes, and by less for larger ones.",
    "latency": "Weights of the fewest bits are never the best choice for a latency.",
}

NO_LATENCY = (
    "a run measures no latency: its samples are decoded in batches, and bytes read would favour fewer "
    "bits whatever the kernels"
)


@dataclass(frozen=True)
class Part:
    """An effect that a finding is about: what it is of, in words, and what the data say."""

    of: str
    claim: Claim


@dataclass(frozen=True)
class Verdict:
    """What these data say about a finding, a key of FINDINGS.

    weights_bytes  the effective size at which the choice changes, with `low` and `high` in bytes; None
                   unless the finding is `scale` and holds
    parts          the effects in accuracy that decide it, the main one first; none for `scale`
    reason         why it is not asked, or what the threshold says
    """

    finding: str
    verdict: str
    reason: str = ""
    threshold: Threshold | None = None
    parts: tuple[Part, ...] = ()


def find_verdicts(
    candidates: Candidates, batch_size: int, threshold: Threshold, seed: int = SEED
) -> tuple[Verdict, ...]:
    """A verdict on each of FINDINGS, in this order."""
    halvings = Halvings.of(candidates, seed)

    def asked(finding: str, of: Callable[[Candidates, int], Iterator["Group"]]) -> Verdict:
        groups = [group for group in of(candidates, batch_size) if group.held]
        return _verdict(finding, groups, halvings, seed)

    return (
        _scale(threshold),
        asked("bits", _bits),
        asked("votes", _votes),
        asked("cache", _cache),
        asked("eviction", _eviction),
        Verdict("latency", NOT_ASKED, NO_LATENCY),
    )


@dataclass(frozen=True, eq=False)
class Group:
    """The contests of one effective size, whose differences are averaged."""

    weights_bytes: float
    held: Sequence[Contest]


def _bits(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    """By model: its fewest bits against more bits in at most as many bytes, which are of smaller models."""
    bits = np.array([chosen.weights.bits for chosen in candidates.configurations])
    fewest = bits == bits.min()
    models = np.array([chosen.model for chosen in candidates.configurations])
    for model in sorted(set(models[fewest])):
        own = np.flatnonzero(fewest & (models == model))
        size = candidates.weights_bytes[own].max()
        rivals = np.flatnonzero(~fewest & (candidates.weights_bytes <= size) & (models != model))
        yield Group(size, contests(candidates, batch_size, rivals, own))


def _votes(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    for size, own in _by_size(candidates):
        votes = candidates.group_sizes[own] > 1
        yield Group(size, contests(candidates, batch_size, own[votes], own[~votes]))


def _cache(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    every = np.arange(len(candidates))
    full = of_kind(candidates, every.tolist(), "full")
    if len(full) < len(every):
        yield Group(0, contests(candidates, batch_size, every, full))


def _eviction(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    for size, own in _by_size(candidates):
        sides = (of_kind(candidates, own.tolist(), kind) for kind in (EVICTING, QUANTIZED))
        yield Group(size, contests(candidates, batch_size, *sides))


def _by_size(candidates: Candidates) -> Iterator[tuple[float, Indices]]:
    for size in np.unique(candidates.weights_bytes).tolist():
        yield size, np.flatnonzero(candidates.weights_bytes == size)


# What a sweep must have for a finding to be asked.
NEEDS = {
    "bits": "weights of two precisions, of which the more bits of a smaller model take fewer bytes",
    "votes": "two effective sizes with one sample and with votes",
    "cache": "the full cache and another KV policy",
    "eviction": "two effective sizes with KV policies that evict and that store fewer bits",
}


def _verdict(finding: str, groups: list[Group], halvings: Halvings, seed: int) -> Verdict:
    by_size = finding in ("votes", "eviction")
    if len(groups) < (2 if by_size else 1):
        return Verdict(finding, NOT_ASKED, f"this needs {NEEDS[finding]}")
    parts = _parts(groups, halvings, seed, by_size)
    if halvings.judges.shape[1] < FEWEST_QUESTIONS:
        reason = f"{halvings.judges.shape[1]} questions are too few to split in halves"
        return Verdict(finding, OPEN, reason, parts=parts)
    if finding == "votes":
        smaller, larger, _ = parts
        verdict = _decided(says=[larger.claim], excludes=[smaller.claim])
        return Verdict(finding, verdict, parts=(larger, smaller))
    if finding == "eviction":
        smaller, _, falls = parts
        return Verdict(finding, _decided([smaller.claim, falls.claim]), parts=(smaller, falls))
    return Verdict(finding, _decided([parts[0].claim]), parts=parts)


def _parts(
    groups: Sequence[Group], halvings: Halvings, seed: int, by_size: bool
) -> tuple[Part, ...]:
    """The mean over all groups, or that of the smaller sizes, the larger ones, and their difference."""
    sizes = [group.weights_bytes for group in groups]
    every = halvings.differences([contest for group in groups for contest in group.held])
    columns = np.split(
        np.arange(every.by_question.shape[1]), np.cumsum([len(g.held) for g in groups])[:-1]
    )
    each = every.means(columns)
    order = np.argsort(sizes, kind="stable").tolist()
    if not by_size:
        return (Part("all", *judge(each.means([order]), seed)),)
    half = len(groups) // 2
    halves = each.means([order[:half], order[-half:]])
    claims = judge(halves.beside(halves.less(0, 1)), seed)
    names = ("smaller sizes", "larger sizes", "smaller less larger sizes")
    return tuple(Part(name, claim) for name, claim in zip(names, claims, strict=True))


def _decided(says: Sequence[Claim], excludes: Sequence[Claim] = ()) -> str:
    if all(one.low > 0 for one in says) and all(one.high < SMALLEST for one in excludes):
        return HOLDS
    if any(one.low <= 0 and one.high < SMALLEST for one in says):
        return FAILS
    return FAILS if any(one.low > 0 for one in excludes) else OPEN


def _scale(threshold: Threshold) -> Verdict:
    """It does not hold where weights lose already at the smallest size, or still win at the largest."""
    if threshold.decided:
        return Verdict("scale", HOLDS, threshold.reason, threshold)
    if threshold.advantages:
        smallest, largest = threshold.advantages[0], threshold.advantages[-1]
        if smallest.high < 0:
            return Verdict(
                "scale", FAILS, "more tokens win already at the smallest size", threshold
            )
        if largest.low > 0:
            return Verdict("scale", FAILS, "more weights still win at the largest size", threshold)
        return Verdict("scale", OPEN, threshold.reason, threshold)
    return Verdict("scale", NOT_ASKED, threshold.reason, threshold)
