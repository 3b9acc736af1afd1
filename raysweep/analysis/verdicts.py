"""The study's six findings, each put to the scenarios of one benchmark at a batch size. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) states them for one family of models and without error bars. Here
each is a sentence about smaller and larger effective sizes (bytes of weights) that any family can answer,
with an effect that is fixed before the data are seen. An accuracy of one side less that of the other is
always meant at equal memory, averaged over the memories of `halving.contests`:

    scale      more weights less more tokens, by effective size: see `threshold`
    bits       smaller models with more bits less, by model, one at 4 bits that takes at least as many bytes
    votes      with votes less one sample, within each effective size
    cache      any KV policy less the full cache
    eviction   evicting less fewer bits, within each effective size
    latency    not asked: a run measures no latency

A sweep without weights at 4 bits is asked about its fewest bits. Precisions are compared under the KV
policies that both sides have.

The smaller sizes are half of the effective sizes that can be compared, the larger sizes the other half. Of
an odd number the middle one belongs to neither.

A finding *holds* if all that it says is above 0 by its 95% interval, and all that it excludes is below
SMALLEST. It *does not hold* if the interval of something that it says lies below SMALLEST, or that of
something that it excludes lies above 0. Otherwise these data do not decide it. That is no sign of its being
false. The intervals of a finding are simultaneous, except for those of `scale`, which are `threshold`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.claims import FEWEST_QUESTIONS, Claim, judge
from raysweep.analysis.halving import Contest, Differences, Halvings, contests
from raysweep.analysis.study import EVICTING, QUANTIZED, SEED, of_kind
from raysweep.analysis.threshold import Threshold

HOLDS, FAILS, OPEN, NOT_ASKED = "holds", "does not hold", "not decided", "not asked"

# An accuracy that is surely gained by less than this is not what a finding claims. The study reads steps of 2
# to 5 points from its frontiers.
SMALLEST = 0.02

FINDINGS = {
    "scale": "Below an effective size memory is better spent on more weights, above it on more tokens.",
    "bits": "A smaller model with more bits is better than a larger one with 4 bits (in mathematics).",
    "votes": "Votes pay only for the larger effective sizes.",
    "cache": "A compressed KV cache is better than the full one.",
    "eviction": "Evicting from the cache beats fewer bits for smaller sizes, and by less for larger ones.",
    "latency": "Weights with 4 bits are never the best choice for a latency.",
}

# What the main effect of a finding is of.
OF = {
    "scale": "more weights less more tokens",
    "bits": "more bits less 4 bits, mean over models",
    "votes": "votes less one sample",
    "cache": "any KV policy less the full cache",
    "eviction": "evicting less fewer bits",
}

# The second effect of `votes`.
SMALLER_TOO = "the same for the smaller sizes, where the finding expects none"

# The weights that the study warns of.
FEW_BITS = 4

NO_LATENCY = (
    "a run measures no latency: samples share a batch, and to count bytes would favour few bits whatever "
    "the kernels"
)


@dataclass(frozen=True)
class Part:
    """An effect that a finding is about: what it is of, in words, and what the data say."""

    of: str
    claim: Claim


@dataclass(frozen=True)
class Verdict:
    """What these data say about a finding, a key of FINDINGS.

    parts      the effects that decide it, the main one first; none where it is not asked
    contests   the comparisons at equal memory that these are means of; 0 for `scale`
    reason     why it is not asked, or what is known of the threshold; "" otherwise
    threshold  for `scale`, whose effect is an effective size where it holds, and has no parts
    """

    finding: str
    verdict: str
    parts: tuple[Part, ...] = ()
    contests: int = 0
    reason: str = ""
    threshold: Threshold | None = None


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
        Verdict("latency", NOT_ASKED, reason=NO_LATENCY),
    )


@dataclass(frozen=True, eq=False)
class Group:
    """The contests of one effective size, whose differences are averaged."""

    weights_bytes: float
    held: Sequence[Contest]


def _bits(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    """By model: few bits against more bits of other models in at most as many bytes."""
    bits = np.array([chosen.weights.bits for chosen in candidates.configurations])
    few = FEW_BITS if FEW_BITS in bits else bits.min()
    models = np.array([chosen.model for chosen in candidates.configurations])
    policies = np.array([chosen.kv_policy for chosen in candidates.configurations])
    for model in sorted(set(models[bits == few])):
        own = (bits == few) & (models == model)
        size = candidates.weights_bytes[own].max()
        rivals = (bits > few) & (candidates.weights_bytes <= size) & (models != model)
        shared = np.isin(policies, np.intersect1d(policies[own], policies[rivals]))
        sides = (np.flatnonzero(side & shared) for side in (rivals, own))
        yield Group(size, contests(candidates, batch_size, *sides))


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
    "bits": "a model at 4 bits, and a smaller one with more bits in fewer bytes",
    "votes": "two effective sizes with one sample and with votes",
    "cache": "the full cache and another KV policy",
    "eviction": "two effective sizes with KV policies that evict and that store fewer bits",
}

SAME = "evicting and fewer bits are equally accurate on every question"


def _verdict(finding: str, groups: list[Group], halvings: Halvings, seed: int) -> Verdict:
    by_size = finding in ("votes", "eviction")
    if len(groups) < (2 if by_size else 1):
        return Verdict(finding, NOT_ASKED, reason=f"this needs {NEEDS[finding]}")
    n_questions, number = halvings.judges.shape[1], sum(len(group.held) for group in groups)
    if n_questions < FEWEST_QUESTIONS:
        reason = f"{n_questions} questions are too few to split in halves"
        return Verdict(finding, OPEN, contests=number, reason=reason)
    differences = _differences(groups, halvings)
    if finding == "eviction" and not np.nan_to_num(differences.by_question).any():
        return Verdict(finding, NOT_ASKED, reason=SAME)
    if not by_size:
        (claim,) = judge(differences.means([range(len(groups))]), seed)
        return Verdict(finding, _decided([claim]), (Part(OF[finding], claim),), number)
    half = len(groups) // 2
    halves = differences.means([range(half), range(len(groups) - half, len(groups))])
    smaller, larger, falls = judge(halves.beside(halves.less(0, 1)), seed)
    if finding == "votes":
        parts = (
            Part(f"{OF['votes']}, larger sizes", larger),
            Part(SMALLER_TOO, smaller),
        )
        return Verdict(finding, _decided([larger], excludes=[smaller]), parts, number)
    parts = (
        Part(f"{OF['eviction']}, smaller sizes", smaller),
        Part("the same less larger sizes", falls),
    )
    return Verdict(finding, _decided([smaller, falls]), parts, number)


def _differences(groups: Sequence[Group], halvings: Halvings) -> Differences:
    """The mean difference of each group's contests, smallest effective size first."""
    ordered = sorted(groups, key=lambda group: group.weights_bytes)
    every = halvings.differences([contest for group in ordered for contest in group.held])
    ends = np.cumsum([len(group.held) for group in ordered])
    return every.means(np.split(np.arange(ends[-1]), ends[:-1]))


def _decided(says: Sequence[Claim], excludes: Sequence[Claim] = ()) -> str:
    if all(one.low > 0 for one in says) and all(one.high < SMALLEST for one in excludes):
        return HOLDS
    if any(one.low <= 0 and one.high < SMALLEST for one in says):
        return FAILS
    return FAILS if any(one.low > 0 for one in excludes) else OPEN


def _scale(threshold: Threshold) -> Verdict:
    """It does not hold where tokens win already at the smallest size, or weights still at the largest."""
    if threshold.decided:
        return Verdict("scale", HOLDS, reason=threshold.reason, threshold=threshold)
    if not threshold.advantages:
        return Verdict("scale", NOT_ASKED, reason=threshold.reason, threshold=threshold)
    ends = threshold.advantages[0], threshold.advantages[-1]
    parts = tuple(
        Part(f"{OF['scale']}, {name} size", Claim(one.mean, one.low, one.high, None, 2))
        for name, one in zip(("smallest", "largest"), ends, strict=True)
    )
    verdict, reason = OPEN, threshold.reason
    if ends[0].high < 0:
        verdict, reason = FAILS, "more tokens win already at the smallest size"
    elif ends[1].low > 0:
        verdict, reason = FAILS, "more weights still win at the largest size"
    return Verdict("scale", verdict, parts, reason=reason, threshold=threshold)
