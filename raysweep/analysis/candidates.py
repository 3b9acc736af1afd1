"""The configurations of one benchmark that compete for memory, with each question's score. Pure: no I/O.

Those that were measured on fewer questions than others are unfinished, and may so far have met only easy
questions. Those that an adaptive run has stopped were stopped for doing badly, so their means are too low in
expectation (Nie et al. 2018). So whatever compares configurations takes the `comparable` ones. Their
frontier is chosen by an estimate from all of them (`shrinkage`), since the best of many measured accuracies
is mostly the luckiest.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raysweep.analysis.configurations import Configuration, Row
from raysweep.analysis.uncertainty import mean_score
from raysweep.frontier import amortised_bytes, frontier_points
from raysweep.metrics import Floats

if TYPE_CHECKING:
    from raysweep.analysis.halving import Halvings
    from raysweep.analysis.shrinkage import Shrinkage

KEY = ("engine_id", "benchmark", "token_budget", "group_size")  # names a scenario within a run

Indices = NDArray[np.intp]


@dataclass(frozen=True)
class Candidate:
    """A configuration on a benchmark: the bytes that it takes, and how well it answers.

    prompt_tokens  of the longest prompt, which is part of every KV cache
    complete       every question has all the samples that were asked for
    stopped_at     samples per question after which an adaptive run was sure that it need not be compared;
                   None if it may be
    """

    configuration: Configuration
    benchmark: str
    kv_kind: str
    prompt_tokens: int
    weights_bytes: int
    kv_bytes: int
    kv_peak_bytes: int
    accuracy: float
    accuracy_lo: float
    accuracy_hi: float
    complete: bool
    stopped_at: int | None = None

    @classmethod
    def of_row(cls, row: Row) -> "Candidate":
        """From a row of scenarios.parquet."""
        # A run of an older version has no column that says what was stopped.
        own = {"stopped_at": None, **row}
        return cls(Configuration.of_row(row), **{name: own[name] for name in OWN_COLUMNS})

    @property
    def key(self) -> tuple[str, str, int, int]:
        """The values of KEY."""
        chosen = self.configuration
        return chosen.engine_id, self.benchmark, chosen.token_budget, chosen.group_size

    def columns(self) -> dict[str, Any]:
        """The candidate as the result tables hold it."""
        own = {name: getattr(self, name) for name in OWN_COLUMNS}
        return {**self.configuration.columns(), **own}


OWN_COLUMNS = tuple(field.name for field in fields(Candidate) if field.name != "configuration")


@dataclass(frozen=True, eq=False)
class Candidates:
    """`scores` are [questions, members], NaN for a question without samples. The questions are the same
    for all members, so any two of them can be compared in pairs.

    stored  the estimates that scenarios.parquet holds, where they were read: [members]; NaN for those that
            were not comparable
    """

    members: tuple[Candidate, ...]
    scores: Floats
    stored: Floats | None = None

    @classmethod
    def of_rows(
        cls, rows: Iterable[Row], scores: Floats, stored: Floats | None = None
    ) -> "Candidates":
        """From rows of scenarios.parquet."""
        return cls(tuple(map(Candidate.of_row, rows)), scores, stored)

    def __len__(self) -> int:
        return len(self.members)

    @cached_property
    def configurations(self) -> tuple[Configuration, ...]:
        return tuple(member.configuration for member in self.members)

    @cached_property
    def accuracy(self) -> Floats:
        return mean_score(self.scores)

    @cached_property
    def may_be_compared(self) -> Indices:
        """The members that were not stopped and met the most questions of these: places in order."""
        going = np.array([member.stopped_at is None for member in self.members], dtype=np.bool_)
        measured = (~np.isnan(self.scores)).sum(axis=0)
        most = measured[going].max(initial=0)
        return np.flatnonzero(going & (measured == most))

    @cached_property
    def comparable(self) -> "Candidates":
        """The candidates that may be compared with each other."""
        chosen = self.may_be_compared
        return self if len(chosen) == len(self) else self.take(chosen.tolist())

    @cached_property
    def shrinkage(self) -> "Shrinkage":
        """How these candidates' accuracies are estimated."""
        # The surface under the estimates is fitted to candidates, so the two modules need each other.
        from raysweep.analysis.shrinkage import Shrinkage

        return Shrinkage(self)

    @property
    def estimate(self) -> Floats:
        """The accuracies by which configurations are chosen: [members].

        They are those that were stored. Some may lack one, where fewer candidates are compared than then.
        """
        if self.stored is not None and not np.isnan(self.stored).any():
            return self.stored
        return self.shrinkage.estimate

    @cached_property
    def halvings(self) -> "Halvings":
        """Halves of the questions that choose, and the others that judge."""
        from raysweep.analysis.halving import Halvings

        return Halvings.of(self)

    @cached_property
    def weights_bytes(self) -> Floats:
        return _numbers(member.weights_bytes for member in self.members)

    @cached_property
    def kv_bytes(self) -> Floats:
        return _numbers(member.kv_bytes for member in self.members)

    @cached_property
    def token_budgets(self) -> Floats:
        return _numbers(chosen.token_budget for chosen in self.configurations)

    @cached_property
    def group_sizes(self) -> Floats:
        return _numbers(chosen.group_size for chosen in self.configurations)

    def memory_bytes(self, batch_size: int) -> Floats:
        """Memory of one question of a batch, which shares the weights."""
        return amortised_bytes(self.weights_bytes, self.kv_bytes, batch_size)

    def device_bytes(self, batch_size: int) -> Floats:
        """Memory of a device that holds the weights once and the KV caches of the whole batch."""
        return self.memory_bytes(batch_size) * batch_size

    def frontier(self, batch_size: int) -> Indices:
        """The members on the frontier of memory against estimated accuracy, least memory first."""
        return frontier_points(self.memory_bytes(batch_size), self.estimate)

    def take(self, indices: Iterable[int]) -> "Candidates":
        chosen = list(indices)
        stored = None if self.stored is None else self.stored[chosen]
        return Candidates(tuple(self.members[i] for i in chosen), self.scores[:, chosen], stored)


def _numbers(values: Iterable[int]) -> Floats:
    return np.array(list(values), dtype=np.float64)
