"""What finished work shows: the length of traces, and how much slower engines are than modelled.

An engine with finished work is judged by that work. Any other engine is judged by the others: its tokens by
those on the same benchmark, its slowness by all engines. The time of a call does not grow with the number of
shards that were noted.

Samples up to fewer token budgets are shorter. Where none of a length have been measured, their mean follows
from that of longer or shorter ones, as if the lengths of whole traces were exponential with mean m:

    mean up to a limit = m (1 - exp(-limit / m))
"""

import math
from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from raysweep.shard import Shard, most_tokens
from raysweep.storage.part import Part

# Means are sought up to so many times the limit that was measured, in so many halvings.
LONGEST, BISECTIONS = 1e4, 40

Modelled = Callable[[str, str], float]


@dataclass
class Sum:
    """A ratio of two sums."""

    above: float = 0.0
    below: float = 0.0

    def add(self, above: float, below: float) -> None:
        self.above += above
        self.below += below

    @property
    def ratio(self) -> float:
        return self.above / self.below


# Tokens and samples, by the most tokens of a sample.
Lengths = dict[float, Sum]


def _no_lengths() -> Lengths:
    return defaultdict(Sum)


@dataclass(frozen=True)
class Kind:
    """What the samples of a stream are: of a benchmark, with so many tokens at most, forks included."""

    benchmark: str
    at_most: float


def kind_of(shard: Shard) -> Kind:
    """The kind of a shard's samples."""
    return Kind(shard.benchmark, float(most_tokens(shard.decoding)))


@dataclass(eq=False)
class Learnt:
    """Sums over the finished shards that were noted.

    modelled  seconds per token by the cost model, given engine id and device; 0 if it does not know
    """

    modelled: Modelled = lambda engine_id, device: 0.0
    _lengths: dict[tuple[str, str], Lengths] = field(
        default_factory=lambda: defaultdict(_no_lengths)
    )
    _of_benchmark: dict[str, Lengths] = field(default_factory=lambda: defaultdict(_no_lengths))
    _times: dict[str, Sum] = field(default_factory=dict)
    _ratios: list[float] = field(default_factory=list)  # the engines' slowness, in increasing order

    def note(
        self,
        engine_id: str,
        kind: Kind,
        samples: int,
        tokens: int,
        engine_s: float = 0.0,
        device: str = "",
        kept_tokens: int = 0,
    ) -> None:
        """Add a finished shard: its samples, the tokens decoded for them, and its engine's seconds.

        kept_tokens  tokens of its samples that were decoded for an earlier part
        """
        whole = tokens + kept_tokens
        if samples and whole:
            self._lengths[engine_id, kind.benchmark][kind.at_most].add(whole, samples)
            self._of_benchmark[kind.benchmark][kind.at_most].add(whole, samples)
        modelled_s = tokens * self.modelled(engine_id, device)
        if engine_s > 0 and modelled_s > 0:
            self._note_time(engine_id, engine_s, modelled_s)

    def _note_time(self, engine_id: str, engine_s: float, modelled_s: float) -> None:
        if engine_id in self._times:
            del self._ratios[bisect_left(self._ratios, self._times[engine_id].ratio)]
        time = self._times.setdefault(engine_id, Sum())
        time.add(engine_s, modelled_s)
        insort(self._ratios, time.ratio)

    def tokens_per_sample(self, engine_id: str, kind: Kind) -> float:
        """Expected tokens of a sample, forks included. It never exceeds the most.

        This is the engine's own mean, else the mean of all engines on the benchmark, else the most.
        """
        lengths = self._lengths.get((engine_id, kind.benchmark))
        lengths = lengths or self._of_benchmark.get(kind.benchmark)
        if not lengths:
            return kind.at_most
        nearest = min(lengths, key=lambda limit: abs(math.log(limit / kind.at_most)))
        return min(mean_within(kind.at_most, lengths[nearest].ratio, nearest), kind.at_most)

    def slowness(self, engine_id: str) -> float:
        """Measured divided by modelled seconds per token: the engine's, else the median, else 1."""
        if engine_id in self._times:
            return self._times[engine_id].ratio
        return self._median

    @property
    def _median(self) -> float:
        count = len(self._ratios)
        return median(self._ratios[(count - 1) // 2 : count // 2 + 1]) if count else 1.0


def mean_within(limit: float, mean: float, measured: float) -> float:
    """The mean of lengths that are cut at `limit`, given their mean when they are cut at `measured`."""
    if limit == measured:
        return mean
    if mean >= measured:
        return limit  # every one was cut
    low, high = 0.0, 1.0
    while _cut_mean(high, measured) < mean and high < LONGEST * measured:
        low, high = high, 2 * high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if _cut_mean(middle, measured) < mean else (low, middle)
    return _cut_mean(high, limit)


def _cut_mean(mean: float, limit: float) -> float:
    """The mean of exponential lengths that are cut at a limit."""
    return -mean * math.expm1(-limit / mean)


def learnt_of(
    parts: Iterable[Part],
    kinds: Mapping[str, Kind],
    modelled: Modelled = lambda engine_id, device: 0.0,
) -> Learnt:
    """What finished parts show.

    kinds  the kind of each stream's samples, by the stream's id; parts of other streams are ignored
    """
    learnt = Learnt(modelled)
    for part in parts:
        if part.stream_id in kinds:
            learnt.note(
                part.engine_id,
                kinds[part.stream_id],
                part.samples,
                part.tokens,
                part.engine_s,
                part.device,
                part.kept_tokens,
            )
    return learnt
