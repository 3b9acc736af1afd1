"""Who is out, and who takes the place. Pure: no I/O.

One that takes the place of others stands for them. The best of these may be better by some margin, below
epsilon. If it goes out in its turn, the next one must stand for them too, so the margins add up. So however
many times a place changes hands, no more than epsilon is lost.
"""

from dataclasses import dataclass

import numpy as np

from raysweep.adaptive.critical_value import Bools, Indices, Singles
from raysweep.metrics import Floats


@dataclass(frozen=True)
class Elimination:
    """Configuration `out` is out, and `by` takes its place; see `decisions.Out`."""

    out: int
    by: int
    margin: float


def eliminate(
    most_ahead: Singles, order: Indices, live: Bools, debts: Floats, epsilon: float
) -> list[Elimination]:
    """Those that are out, in the order in which they are found; `live` and `debts` are changed.

    most_ahead  the most by which the second may be more accurate than the first: [first, second]
    order       a configuration may take the place of those after it: a permutation
    live        whether each configuration is live
    debts       the most by which the best of those that each stands for may be better than it

    The last in the order come first, so that one that goes out has all its debts.
    """
    found = []
    for at in range(len(order) - 1, 0, -1):
        second = int(order[at])
        if not live[second]:
            continue
        firsts = order[:at][live[order[:at]]]
        if not firsts.size:
            continue
        first = int(firsts[np.argmin(most_ahead[firsts, second])])
        margin = float(most_ahead[first, second]) + debts[second]
        if margin < epsilon:
            live[second] = False
            debts[first] = max(debts[first], margin)
            found.append(Elimination(second, first, margin))
    return found
