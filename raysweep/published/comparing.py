"""A finished run beside published cells and orders. Pure: no I/O.

*Cells.* Both accuracies are means over the same questions, so the choice of the questions is no error of
their difference. What remains is the randomness of the answers, ours and theirs, and what two careful groups
differ by (`cells.between_groups`). The run agrees with a cell if the difference is at most

    sqrt((z * our error)^2 + (z * their error)^2 + allowance^2).

The interval over questions, which is far wider, would let nearly every run agree with every cell. It is
given for information. A cell is only judged if nothing is known to differ: its benchmark has as many
questions, budget, sampling and votes are alike, and no early end of thinking is replaced.

*Orders.* Two configurations are compared in pairs, question by question, with the interval of
`uncertainty.paired_difference`.

*Together.* One of twenty comparisons differs by chance. So z, the allowance and the intervals are those of
the level at which Holm's method judges together all cells, or all orders, that this run has a counterpart of.
In 95% of runs in which no cell differs, none is said to, and likewise for orders.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import hypot, isfinite, log, sqrt
from statistics import NormalDist

import numpy as np

from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.uncertainty import LEVEL, holm_level, paired_difference, run_spread
from raysweep.metrics import Floats
from raysweep.published.cells import (
    Allowance,
    Cell,
    Choice,
    Order,
    Published,
    answers_error,
    between_groups,
)
from raysweep.run_config import Sweep
from raysweep.system.quantities import plural

AGREES, DIFFERS, ANOTHER = "agrees", "differs", "not the same cell"
AS_REPORTED, REVERSED, UNDECIDED = "as reported", "the other way round", "not decided"

# Budgets within this factor count as the same, since few traces end in between.
SAME_BUDGET = 1.1


@dataclass(frozen=True)
class CellBeside:
    """A published cell and the scenario of the run that is nearest to it.

    margin  the largest difference that is agreement; infinite if an error is unknown
    apart   what differs besides the accuracy; if there is any, it is not the same cell
    """

    cell: Cell
    here: Candidate
    margin: float
    apart: tuple[str, ...]

    @property
    def difference(self) -> float:
        return self.here.accuracy - self.cell.accuracy

    @property
    def verdict(self) -> str:
        if self.apart or not isfinite(self.margin):
            return ANOTHER
        return AGREES if abs(self.difference) <= self.margin else DIFFERS


@dataclass(frozen=True)
class OrderBeside:
    """A reported order and the difference that the run finds, with its interval.

    All orders of a comparison lie in their intervals in 95% of runs.

    engines  pairs of engines over which the difference is a mean
    """

    order: Order
    benchmark: str
    difference: float
    low: float
    high: float
    engines: int

    @property
    def verdict(self) -> str:
        if self.low > 0:
            return AS_REPORTED
        return REVERSED if self.high < 0 else UNDECIDED


@dataclass(frozen=True)
class Comparison:
    """What the run has a counterpart of, and everything that was looked for.

    allowance  for what two careful groups differ by
    """

    cells: tuple[CellBeside, ...]
    orders: tuple[OrderBeside, ...]
    published: Published
    allowance: Allowance


def compare(published: Published, sweep: Sweep, candidates: Mapping[str, Candidates]) -> Comparison:
    """The run beside everything published. `candidates` are those of each benchmark."""
    allowance = between_groups(published.cells)
    benchmarks = {one.name for one in sweep.benchmarks} & set(candidates)
    models = {one.name for one in sweep.models}

    def cells(level: float) -> tuple[CellBeside, ...]:
        found = (
            _beside(cell, candidates[cell.benchmark], sweep, allowance, level)
            for cell in published.cells
            if cell.benchmark in benchmarks and cell.model in models
        )
        return tuple(cell for cell in found if cell is not None)

    def orders(level: float) -> tuple[OrderBeside, ...]:
        found = (
            _ordered(order, benchmark, candidates[benchmark], level)
            for order in published.orders
            for benchmark in order.benchmarks
            if benchmark in benchmarks
        )
        return tuple(order for order in found if order is not None)

    judged = sum(cell.verdict != ANOTHER for cell in cells(LEVEL))
    level = holm_level(lambda one: sum(cell.verdict == DIFFERS for cell in cells(one)), judged)
    asked = len(orders(LEVEL))
    of_orders = holm_level(lambda one: sum(o.verdict != UNDECIDED for o in orders(one)), asked)
    return Comparison(cells(level), orders(of_orders), published, allowance)


# Cells


def _beside(
    cell: Cell, candidates: Candidates, sweep: Sweep, allowance: Allowance, level: float
) -> CellBeside | None:
    """The nearest scenario. None if the run lacks the model, its precision or the KV policy."""
    index = _nearest(cell, candidates.members)
    if index is None:
        return None
    here = candidates.members[index]
    ours = _answers_error(here, candidates.scores[:, index], sweep.samples)
    z = NormalDist().inv_cdf((1 + level) / 2)
    margin = hypot(z * ours, z * cell.standard_error, allowance.points(level))
    return CellBeside(cell, here, margin, tuple(_apart(cell, here, sweep)))


def _nearest(cell: Cell, members: Sequence[Candidate]) -> int | None:
    def distance(index: int) -> tuple[float, float]:
        chosen = members[index].configuration
        votes = abs(log(chosen.group_size / cell.group_size))
        wanted = cell.token_budget
        tokens = -chosen.token_budget if wanted is None else abs(log(chosen.token_budget / wanted))
        return votes, tokens

    wanted = cell.model, cell.weights, cell.kv_policy
    own = [index for index, member in enumerate(members) if _engine(member) == wanted]
    return min(own, key=distance, default=None)


def _engine(member: Candidate) -> tuple[str, str, str]:
    chosen = member.configuration
    return chosen.model, chosen.precision, chosen.kv_policy


def _answers_error(here: Candidate, scores: Floats, samples: int) -> float:
    """Standard error of an accuracy on the same questions, from the randomness of the answers.

    A question's G votes are taken from its pool of samples, which holds so many independent groups. The
    variance within a question is corrected for having been estimated from them.
    """
    groups = samples / here.configuration.group_size
    if groups <= 1:
        return answers_error(here.accuracy, int((~np.isnan(scores)).sum()))
    return float(run_spread(scores)) / sqrt(groups - 1)


def _apart(cell: Cell, here: Candidate, sweep: Sweep) -> Iterator[str]:
    """Everything that is known to differ, in words."""
    yield from cell.apart
    chosen = here.configuration
    (benchmark,) = (one for one in sweep.benchmarks if one.name == cell.benchmark)
    if cell.questions not in (None, len(benchmark.questions)):
        yield f"{plural(len(benchmark.questions), 'question')} instead of {cell.questions:,}"
    if chosen.group_size != cell.group_size:
        votes = "one sample" if chosen.group_size == 1 else f"votes of {chosen.group_size:,}"
        yield f"{votes} instead of {cell.group_size:,}"
    if cell.token_budget and not _alike(chosen.token_budget, cell.token_budget):
        yield f"{plural(chosen.token_budget, 'token')} instead of {cell.token_budget:,}"
    (model,) = (one for one in sweep.models if one.name == cell.model)
    for name, value in cell.sampling.items():
        ours = getattr(model.family.sampling, name)
        if ours != value:
            yield f"{name} {ours:g} instead of {value:g}"
    if sweep.forcing.extension:
        yield f"{sweep.forcing.extension!r} replaces an early end of thinking"
    if not here.complete:
        yield "samples are missing"


def _alike(ours: int, theirs: int) -> bool:
    return max(ours, theirs) <= SAME_BUDGET * min(ours, theirs)


# Orders


def _ordered(
    order: Order, benchmark: str, candidates: Candidates, level: float
) -> OrderBeside | None:
    """The difference of the two sides over the engines that have both. None if no engine has."""
    largest = max(member.configuration.token_budget for member in candidates.members)
    ahead, behind = (
        _side(side, candidates.members, largest) for side in (order.ahead, order.behind)
    )
    shared = [key for key in ahead if key in behind]
    if not shared:
        return None
    one, other = (
        candidates.scores[:, [side[key] for key in shared]].mean(axis=1) for side in (ahead, behind)
    )
    found = paired_difference(one, other, level)
    bounds = (float(found.mean), float(found.low), float(found.high))
    return OrderBeside(order, benchmark, *bounds, engines=len(shared))


def _side(choice: Choice, members: Iterable[Candidate], largest: int) -> dict[object, int]:
    """The scenarios of a side, by what they must share with the other side."""
    found: dict[object, int] = {}
    for index, member in enumerate(members):
        chosen = member.configuration
        if chosen.votes or chosen.token_budget != (choice.token_budget or largest):
            continue
        if choice.engine == chosen.engine_id:
            found[None] = index
        elif choice.engine is None and choice.kv_policy == chosen.kv_policy:
            found[chosen.model, chosen.weights] = index
    return found
