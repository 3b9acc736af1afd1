"""How far backends differ, in words: `full` on one backend minus `full` on another, paired by question."""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from raysweep.analysis.configurations import Row, weights_of
from raysweep.reporting.results import where
from raysweep.system.quantities import percent, percentage_points, plural


@dataclass(frozen=True)
class Comparison:
    """An engine and its control on a benchmark, at the largest token budget and with the fewest votes.

    differs  whether the 95% interval excludes 0
    unseen   the largest difference, as a share, that the interval does not exclude
    """

    benchmark: str
    model: str
    precision: str
    backends: tuple[str, str]
    questions: int
    accuracies: tuple[str, str]
    difference: str
    interval: str
    verdict: str
    differs: bool
    unseen: float


def comparisons(controls: pd.DataFrame) -> list[Comparison]:
    """One for each benchmark and engine with a control, in the order of the table (`schemas.CONTROLS`)."""
    chosen = where(
        where(controls, token_budget=controls.token_budget.max()),
        group_size=controls.group_size.min(),
    )
    return [_comparison(row) for row in chosen.to_dict("records")]


def _comparison(row: Row) -> Comparison:
    low, high = row["difference_lo"], row["difference_hi"]
    return Comparison(
        benchmark=row["benchmark"],
        model=row["model"],
        precision=weights_of(row).slug,
        backends=(row["backend"], row["control_backend"]),
        questions=int(row["n_questions"]),
        accuracies=(percent(row["accuracy"]), percent(row["control_accuracy"])),
        difference=percentage_points(row["difference"]),
        interval=f"{percentage_points(low)} to {percentage_points(high)}",
        verdict=_verdict(row) + ("" if row["complete"] else " (samples are missing)"),
        differs=not low <= 0 <= high,
        unseen=max(abs(low), abs(high)),
    )


def _verdict(row: Row) -> str:
    low, high = row["difference_lo"], row["difference_hi"]
    if low == high == 0:
        return "the same accuracy on every question"
    if low <= 0 <= high:
        return "cannot be told apart"
    better = row["backend"] if low > 0 else row["control_backend"]
    least, most = sorted((abs(low), abs(high)))
    return f"{better} is better, by {percentage_points(least)} to {percentage_points(most)} points"


def overview(found: Sequence[Comparison]) -> list[str]:
    """What all comparisons say together, and each one that differs. Empty if there are none."""
    if not found:
        return []
    differ = [one for one in found if one.differs]
    same = len(found) - len(differ)
    text = (
        f"full on {' and on '.join(found[0].backends)}: {same} of {plural(len(found), 'comparison')} "
        "cannot be told apart"
    )
    if unseen := max((one.unseen for one in found if not one.differs), default=0):
        text += f", which leaves room for up to {percentage_points(unseen)} points"
    if differ and len(found) > 1:
        verb = "differs" if len(differ) == 1 else "differ"
        text += f"; {len(differ)} of them {verb}, and about one in 20 would by chance"
    named = (f"{one.model} {one.precision} on {one.benchmark}: {one.verdict}" for one in differ)
    return [f"{text}.", *(f"{name}." for name in named)]
