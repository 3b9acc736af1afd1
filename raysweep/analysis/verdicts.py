"""The study's six findings, each put to the scenarios of one benchmark at a batch size. Pure: no I/O.

"Not All Bits Are Equal" (arXiv 2510.10964) states them for one family of models and without error bars. Here
each is a sentence about smaller and larger effective sizes (bytes of weights) that any family can answer,
with an effect that is fixed before the data are seen. An accuracy of one side less that of the other is
always meant at equal memory, averaged over the memories of `halving.pairings`:

    scale      more weights less more tokens, by effective size: see `threshold`
    bits       smaller models with more bits less, by model, one at 4 bits that takes at least as many bytes
    votes      with votes less one sample, within each effective size
    cache      any KV policy less the full cache
    eviction   evicting less fewer bits, within each effective size
    latency    not asked: a run measures no latency

Precisions are compared under the KV policies that both sides have.

The smaller sizes are half of the effective sizes that can be compared, the larger sizes the other half. Of
an odd number the middle one belongs to neither.

Each effect has one margin, and the finding says that the effect lies on one side of it: above 0, or, for
votes with the smaller sizes, below SMALLEST. A 95% interval on this side of the margin shows that the
finding is right about the effect, and one on the other side shows that it is wrong. A finding *holds* if it
is shown to be right about all of its effects. It *does not hold* if it is shown to be wrong about one.
Otherwise these data do not decide it, whether it is true or false. The intervals of a finding are
simultaneous.

`scale` holds if a threshold is decided. A change of the other direction, from tokens at the smallest size to
weights at the largest, shows that it does not hold. If one of the two wins at all sizes, the change may lie
outside of the sweep, so this decides nothing. Its intervals are `threshold`'s.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.claims import Claim, judge
from raysweep.analysis.halving import SEED, Differences, Halvings, Pairing, pairings
from raysweep.analysis.study import EVICTING, QUANTIZED, of_kind
from raysweep.analysis.threshold import Threshold
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS

HOLDS, FAILS, OPEN, NOT_ASKED = "holds", "does not hold", "not decided", "not asked"

# A finding that something does not pay is right about gains of accuracy below this. The study reads steps of
# 2 to 5 points from its frontiers.
SMALLEST = 0.02

FINDINGS = {
    "scale": "Below an effective size memory is better spent on more weights, above it on more tokens.",
    "bits": "A smaller model with more bits is better than a larger one with 4 bits.",
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
SMALLER_TOO = "the same for the smaller sizes, where the finding expects less than 2 points"

# The weights that the study warns of.
FEW_BITS = 4

# A benchmark does not say of which kind it is, so this is said of all.
NOT_OF_KNOWLEDGE = "the study finds this in mathematics, and the opposite in knowledge"

NO_LATENCY = (
    "a run measures no latency: samples share a batch, and to count bytes would favour few bits whatever "
    "the kernels"
)


@dataclass(frozen=True)
class Part:
    """An effect that a finding is about.

    of     what it is of, in words
    claim  what the data say
    pays   whether the finding says that it is above 0; if not, that it is below SMALLEST
    """

    of: str
    claim: Claim
    pays: bool = True

    @property
    def right(self) -> bool | None:
        """Whether the finding is right about this effect; None if these data do not decide it."""
        low, high = self.claim.low, self.claim.high
        if self.pays:
            return True if low > 0 else False if high <= 0 else None
        return True if high < SMALLEST else False if low >= SMALLEST else None


@dataclass(frozen=True)
class Verdict:
    """What these data say about a finding, a key of FINDINGS.

    parts        the effects that decide it, the main one first; none where it is not asked
    comparisons  the pairings at equal memory that these are means of; 0 for `scale`
    reason       why it is not asked, or what should be known beside the verdict; "" if there is nothing
    threshold    for `scale`, whose effect is an effective size where it holds, and has no parts
    """

    finding: str
    verdict: str
    parts: tuple[Part, ...] = ()
    comparisons: int = 0
    reason: str = ""
    threshold: Threshold | None = None


def find_verdicts(
    candidates: Candidates, batch_size: int, threshold: Threshold
) -> tuple[Verdict, ...]:
    """A verdict on each of FINDINGS, in this order."""

    def asked(finding: str, of: Callable[[Candidates, int], Iterator["Group"]]) -> Verdict:
        groups = [group for group in of(candidates, batch_size) if group.held]
        return _verdict(finding, groups, candidates.halvings)

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
    """The pairings of one effective size, whose differences are averaged."""

    weights_bytes: float
    held: Sequence[Pairing]


def _bits(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    """By model: 4 bits against more bits of other models in at most as many bytes."""
    bits = np.array([chosen.weights.bits for chosen in candidates.configurations])
    models = np.array([chosen.model for chosen in candidates.configurations])
    policies = np.array([chosen.kv_policy for chosen in candidates.configurations])
    for model in sorted(set(models[bits == FEW_BITS])):
        own = (bits == FEW_BITS) & (models == model)
        size = candidates.weights_bytes[own].max()
        rivals = (bits > FEW_BITS) & (candidates.weights_bytes <= size) & (models != model)
        shared = np.isin(policies, np.intersect1d(policies[own], policies[rivals]))
        sides = (np.flatnonzero(side & shared) for side in (rivals, own))
        yield Group(size, pairings(candidates, batch_size, *sides))


def _votes(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    for size, own in _by_size(candidates):
        votes = candidates.group_sizes[own] > 1
        yield Group(size, pairings(candidates, batch_size, own[votes], own[~votes]))


def _cache(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    every = np.arange(len(candidates))
    full = of_kind(candidates, every.tolist(), "full")
    if len(full) < len(every):
        yield Group(0, pairings(candidates, batch_size, every, full))


def _eviction(candidates: Candidates, batch_size: int) -> Iterator[Group]:
    for size, own in _by_size(candidates):
        sides = (of_kind(candidates, own.tolist(), kind) for kind in (EVICTING, QUANTIZED))
        yield Group(size, pairings(candidates, batch_size, *sides))


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

OPPOSITE = "more tokens win at the smallest size, and more weights at the largest"

OUTSIDE = "more {winner} win at the {end} size: any change lies {side} the sizes of this sweep"

SAME = "evicting and fewer bits are equally accurate on every question"


def _verdict(finding: str, groups: list[Group], halvings: Halvings) -> Verdict:
    by_size = finding in ("votes", "eviction")
    if len(groups) < (2 if by_size else 1):
        return Verdict(finding, NOT_ASKED, reason=f"this needs {NEEDS[finding]}")
    n_questions, number = halvings.judges.shape[1], sum(len(group.held) for group in groups)
    if n_questions < FEWEST_QUESTIONS:
        reason = f"{n_questions} questions are too few to split in halves"
        return Verdict(finding, OPEN, comparisons=number, reason=reason)
    differences = _differences(groups, halvings)
    if finding == "eviction" and not np.nan_to_num(differences.by_question).any():
        return Verdict(finding, NOT_ASKED, reason=SAME)
    if not by_size:
        (claim,) = judge(differences.means([range(len(groups))]), SEED)
        reason = NOT_OF_KNOWLEDGE if finding == "bits" else ""
        return _decided(finding, number, Part(OF[finding], claim), reason=reason)
    half = len(groups) // 2
    halves = differences.means([range(half), range(len(groups) - half, len(groups))])
    smaller, larger, falls = judge(halves.beside(halves.less(0, 1)), SEED)
    if finding == "votes":
        pays = Part(f"{OF['votes']}, larger sizes", larger)
        return _decided(finding, number, pays, Part(SMALLER_TOO, smaller, pays=False))
    better = Part(f"{OF['eviction']}, smaller sizes", smaller)
    return _decided(finding, number, better, Part("the same less larger sizes", falls))


def _differences(groups: Sequence[Group], halvings: Halvings) -> Differences:
    """The mean difference of each group's pairings, smallest effective size first."""
    ordered = sorted(groups, key=lambda group: group.weights_bytes)
    every = halvings.differences([pairing for group in ordered for pairing in group.held])
    ends = np.cumsum([len(group.held) for group in ordered])
    return every.means(np.split(np.arange(ends[-1]), ends[:-1]))


def _decided(finding: str, number: int, *parts: Part, reason: str = "") -> Verdict:
    return Verdict(finding, _answer(parts), parts, number, reason)


def _answer(parts: Sequence[Part]) -> str:
    right = [part.right for part in parts]
    return HOLDS if all(right) else FAILS if False in right else OPEN


def _scale(threshold: Threshold) -> Verdict:
    """A threshold outside of the sweep looks as if weights, or tokens, win at all of its sizes."""
    if threshold.decided:
        return Verdict("scale", HOLDS, reason=threshold.reason, threshold=threshold)
    if not threshold.advantages:
        return Verdict("scale", NOT_ASKED, reason=threshold.reason, threshold=threshold)
    ends = threshold.advantages[0], threshold.advantages[-1]
    parts = tuple(
        Part(f"{OF['scale']}, {name} size", Claim(one.mean, one.low, one.high, None, 2))
        for name, one in zip(("smallest", "largest"), ends, strict=True)
    )
    tokens_first, weights_last = ends[0].high < 0, ends[1].low > 0
    verdict, reason = OPEN, threshold.reason
    if tokens_first and weights_last:
        verdict, reason = FAILS, OPPOSITE
    elif tokens_first:
        reason = OUTSIDE.format(winner="tokens", end="smallest", side="below")
    elif weights_last:
        reason = OUTSIDE.format(winner="weights", end="largest", side="above")
    return Verdict("scale", verdict, parts, reason=reason, threshold=threshold)
