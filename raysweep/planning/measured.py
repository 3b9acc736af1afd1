"""What finished work shows: the length of traces, and how much slower engines are than modelled.

An engine with finished work is judged by that work. Any other engine is judged by the others: its tokens by
those on the same benchmark, its slowness by all engines. The time of a call does not grow with the number of
shards that were noted.
"""

from bisect import bisect_left, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from statistics import median

from raysweep.storage.part import Part

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


@dataclass(eq=False)
class Learnt:
    """Sums over the finished shards that were noted.

    modelled  seconds per token by the cost model, given engine id and device; 0 if it does not know
    """

    modelled: Modelled = lambda engine_id, device: 0.0
    _lengths: dict[tuple[str, str], Sum] = field(default_factory=lambda: defaultdict(Sum))
    _of_benchmark: dict[str, Sum] = field(default_factory=lambda: defaultdict(Sum))
    _times: dict[str, Sum] = field(default_factory=dict)
    _ratios: list[float] = field(default_factory=list)  # the engines' slowness, in increasing order

    def note(
        self,
        engine_id: str,
        benchmark: str,
        samples: int,
        tokens: int,
        engine_s: float = 0.0,
        device: str = "",
    ) -> None:
        """Add a finished shard: its samples, the tokens decoded for them, and its engine's seconds."""
        if samples and tokens:
            self._lengths[engine_id, benchmark].add(tokens, samples)
            self._of_benchmark[benchmark].add(tokens, samples)
        modelled_s = tokens * self.modelled(engine_id, device)
        if engine_s > 0 and modelled_s > 0:
            self._note_time(engine_id, engine_s, modelled_s)

    def _note_time(self, engine_id: str, engine_s: float, modelled_s: float) -> None:
        if engine_id in self._times:
            del self._ratios[bisect_left(self._ratios, self._times[engine_id].ratio)]
        time = self._times.setdefault(engine_id, Sum())
        time.add(engine_s, modelled_s)
        insort(self._ratios, time.ratio)

    def tokens_per_sample(self, engine_id: str, benchmark: str, at_most: float) -> float:
        """Expected tokens of a sample, forks included. It never exceeds `at_most`.

        This is the engine's own mean, else the mean of all engines on the benchmark, else `at_most`.
        """
        own = self._lengths.get((engine_id, benchmark)) or self._of_benchmark.get(benchmark)
        return min(own.ratio, at_most) if own else at_most

    def slowness(self, engine_id: str) -> float:
        """Measured divided by modelled seconds per token: the engine's, else the median, else 1."""
        if engine_id in self._times:
            return self._times[engine_id].ratio
        return self._median

    @property
    def _median(self) -> float:
        count = len(self._ratios)
        return median(self._ratios[(count - 1) // 2 : count // 2 + 1]) if count else 1.0


def learnt_of(
    parts: Iterable[Part],
    benchmarks: Mapping[str, str],
    modelled: Modelled = lambda engine_id, device: 0.0,
) -> Learnt:
    """What finished parts show.

    benchmarks  the benchmark of each stream, by the stream's id; parts of other streams are ignored
    """
    learnt = Learnt(modelled)
    for part in parts:
        if part.stream_id in benchmarks:
            learnt.note(
                part.engine_id,
                benchmarks[part.stream_id],
                part.samples,
                part.tokens,
                part.engine_s,
                part.device,
            )
    return learnt
