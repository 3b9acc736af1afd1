"""What an adaptive run has stopped, as far as results must know of it. Pure: no I/O.

A stopped scenario keeps its row, so that nothing that was measured is lost. It is marked, its interval holds
at all looks at once, and it is compared with nothing (`Candidates.comparable`).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from raysweep.analysis.uncertainty import LEVEL, score_interval
from raysweep.reducing.scenarios import Scenario

# The values of `candidates.KEY`: engine id, benchmark, token budget and group size.
Key = tuple[str, str, int, int]


@dataclass(frozen=True)
class Stopping:
    """What is stopped, and which samples are wanted.

    looks     how often the run looks at its samples, the last time included
    at        samples per question after which each stopped scenario was out, by its key
    wanted    samples per question so far, by engine id and benchmark; what is missing is wanted whole
    all_done  whether every decision of the rounds is made; without rounds nothing is to be decided
    """

    looks: int = 1
    at: Mapping[Key, int] = field(default_factory=dict)
    wanted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    all_done: bool = True

    @property
    def level(self) -> float:
        """The level of a single interval that makes those of all looks hold at once (Bonferroni)."""
        return 1 - (1 - LEVEL) / self.looks


# A run that makes every sample.
NOTHING_STOPPED = Stopping()


def marked(scenarios: Iterable[Scenario], stopping: Stopping) -> list[Scenario]:
    """The scenarios, those that were stopped with their mark and a repeated confidence interval.

    See Jennison and Turnbull (1989): such an interval holds whatever the rule by which sampling stops.
    """
    return [_marked(one, stopping) for one in scenarios]


def _marked(scenario: Scenario, stopping: Stopping) -> Scenario:
    stopped_at = stopping.at.get(scenario.key)
    if stopped_at is None:
        return scenario
    wider = score_interval(scenario.scores, stopping.level)
    row = {
        **scenario.row,
        "complete": False,
        "stopped_at": stopped_at,
        "accuracy_lo": float(wider.low),
        "accuracy_hi": float(wider.high),
    }
    return replace(scenario, row=row)
