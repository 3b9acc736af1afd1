"""Which samples a run wants of an engine on a benchmark, and up to which token budget.

Without `sweep.adaptive` that is every sample up to the largest budget. An adaptive run wants the samples of
its rounds so far, the later ones only up to the largest budget that may still matter.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from raysweep.run_config import Sweep


@dataclass(frozen=True)
class Segment:
    """The samples with indices from `start` to below `stop`, up to the first `budgets` token budgets."""

    start: int
    stop: int
    budgets: int


# What is wanted, by engine id and benchmark, in the order of the indices. What is missing is wanted whole.
Demands = Mapping[tuple[str, str], tuple[Segment, ...]]


def everything(sweep: Sweep) -> tuple[Segment, ...]:
    """Every sample up to the largest budget."""
    return (Segment(0, sweep.samples, len(sweep.token_budgets)),)
