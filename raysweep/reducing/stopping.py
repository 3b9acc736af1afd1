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
    memory_bytes, batch_size  what a configuration must fit into that is asked for; None for any
    """

    looks: int = 1
    at: Mapping[Key, int] = field(default_factory=dict)
    wanted: Mapping[tuple[str, str], int] = field(default_factory=dict)
    memory_bytes: float | None = None
    batch_size: int = 1

    @property
    def level(self) -> float:
        """The level of a single interval that makes those of all looks hold at once (Bonferroni)."""
        return 1 - (1 - LEVEL) / self.looks

    def stopped_at(self, scenario: Scenario) -> int | None:
        """The samples per question after which it was out, 0 if it does not fit, None if it goes on."""
        row = scenario.row
        takes = row["weights_bytes"] + self.batch_size * row["kv_bytes"]
        too_large = self.memory_bytes is not None and takes > self.memory_bytes
        return self.at.get(scenario.key, 0 if too_large else None)


# A run that makes every sample.
NOTHING_STOPPED = Stopping()


def marked(scenarios: Iterable[Scenario], stopping: Stopping) -> list[Scenario]:
    """The scenarios, those that were stopped with their mark and a repeated confidence interval.

    See Jennison and Turnbull (1989): such an interval holds whatever the rule by which sampling stops.
    """
    return [_marked(one, stopping) for one in scenarios]


def _marked(scenario: Scenario, stopping: Stopping) -> Scenario:
    stopped_at = stopping.stopped_at(scenario)
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
