"""Measures what choosing the best of thousands does to the numbers, in worlds whose truth is known.

    python -m benchmarks.selection --worlds 30 --questions 30        about five minutes on an idle core

Each world is a run of the study's full grid (`planted_worlds`): 10,080 configurations. In the worlds of the
study's law, engines are off it by 0.15 to 0.3 logits, and a configuration is recommended for MEMORIES
memories. In the flat worlds all are equally good. Two rules are compared on the same scores:

    measured   the best measured accuracy is chosen and reported, and intervals of single comparisons tell
               others apart from it
    shrunken   what raysweep does: a shrunken estimate chooses, a cross-fitted accuracy is reported, and one
               critical value serves all comparisons

Bias is the reported accuracy less the true one of the same configuration, regret what the truly best one
within the memory would have been better by. By chance the questions of a world are easy or hard for all
configurations alike. This chance is taken out of the bias: it is the error of the measured accuracies of the
truly best ones, which no rule chose and whose mean over worlds is 0 (a control variate). Intervals and what
they cover are left as they are. Memories of one world are correlated, so errors are taken over worlds.

A second table says how often points of the frontier are truly on it, by the share of bootstrap draws in which
they stay there (`p_on_frontier`). A third rule, `gaining`, is the shrunken one on a frontier without the
points that are not expected to gain on one of less memory. It was not taken, for its regret.
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from benchmarks.planted_worlds import World, drawn, flat, off_the_law, study_grid, study_like, truth
from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.ladder import Ladder, ladders
from raysweep.analysis.uncertainty import (
    ConfidenceInterval,
    bootstrap_weights,
    paired_difference,
    score_interval,
)
from raysweep.frontier import Bools, frontier_points, pareto
from raysweep.metrics import Floats
from raysweep.reducing.frontier_tables import frontier_rows
from raysweep.reducing.reduce import BOOTSTRAP_SEED

MEMORIES = 14

# The standard deviations of engines from the law, in logits, which worlds take in turns.
SPREADS = (0.15, 0.2, 0.25, 0.3)

RULES = ("measured", "shrunken", "gaining")

# The figures that are no shares.
NUMBERS = ("not told apart", "points of the frontier")

# What is measured of a world, by the name of its rule and figure. NaN where it has no such figure.
Figures = dict[tuple[str, str], float]


# The draws of the bootstrap that says how often a point stays on the frontier.
PLACE_DRAWS = 300

# The bounds of the classes of p_on_frontier.
CLASSES = (0.0, 0.1, 0.25, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True, eq=False)
class Run:
    """A run of a world: its scores, what is true of them, and what would be recommended."""

    candidates: Candidates
    true: Floats
    ladder: Ladder

    @classmethod
    def of(cls, world: World, questions: int, seed: int) -> "Run":
        candidates = drawn(world, questions, seed)
        (ladder,) = ladders(candidates, [1])
        return cls(candidates, truth(world), ladder)


@dataclass(frozen=True, eq=False)
class Judged:
    """A rule's choices at some memories: what it reported, and what others it told apart.

    told_apart  for each memory, the members that were called worse
    """

    chosen: Indices
    reported: ConfidenceInterval
    told_apart: list[Indices]


def structured(seed: int, full_cache_alone: bool = False) -> World:
    """A world of the study's law with engines off it."""
    law = study_like(study_grid(full_cache_alone))
    return off_the_law(law, SPREADS[seed % len(SPREADS)], seed)


def figures(run: Run, memories: int = MEMORIES) -> Figures:
    """The rules judged by the truth."""
    candidates, true, ladder = run.candidates, run.true, run.ladder
    least, most = float(ladder.memory.min()), float(ladder.memory.max())
    limits = np.asarray(np.geomspace(least * 1.5, most, memories), dtype=np.float64)
    limits[-1] = most
    fits = [np.flatnonzero(ladder.memory <= limit) for limit in limits]
    best = np.array([own[true[own].argmax()] for own in fits])
    luck = float((candidates.accuracy - true)[best].mean())
    found: Figures = {("", "luck of the questions"): luck}
    for name, judged in {
        "measured": by_measured(candidates, fits),
        "shrunken": by_ladder(ladder, limits),
        "gaining": by_gains(ladder, limits),
    }.items():
        for figure, value in _judged(judged, true, best, fits, luck):
            found[name, figure] = value
    points = frontier_points(ladder.memory, candidates.accuracy)
    of_points = (candidates.accuracy - true)[points].mean() - luck
    found["measured", "bias over the frontier's points"] = float(of_points)
    expected = ladder.expectation.accuracy.mean - true[ladder.steps]
    for rule, own in {"shrunken": expected, "gaining": expected[ladder.expectation.gains]}.items():
        found[rule, "bias over the frontier's points"] = float(own.mean()) - luck
        found[rule, "points of the frontier"] = float(own.size)
    return found


def places(run: Run) -> tuple[Floats, Bools]:
    """p_on_frontier of each point of the frontier, and whether it is truly on it."""
    found = frontier_rows(
        run.candidates,
        [1],
        bootstrap_weights(len(run.candidates.scores), PLACE_DRAWS, BOOTSTRAP_SEED),
    )
    stays = [row["p_on_frontier"] for row in found if not row["axis"]]
    return np.array(stays), pareto(run.ladder.memory, run.true)[run.ladder.steps]


def by_measured(candidates: Candidates, fits: list[Indices]) -> Judged:
    """The rule that raysweep had: the best measured accuracy, and comparisons one by one."""
    chosen = np.array([own[candidates.accuracy[own].argmax()] for own in fits])
    scores = candidates.scores
    worse = [
        own[paired_difference(scores[:, [one]], scores[:, own]).low > 0]
        for one, own in zip(chosen, fits, strict=True)
    ]
    return Judged(chosen, score_interval(scores[:, chosen]), worse)


def by_ladder(ladder: Ladder, limits: Floats) -> Judged:
    """The rule that raysweep has."""
    steps = [ladder.step_within(float(limit)) for limit in limits]
    assert None not in steps
    at, worse = np.array(steps, dtype=np.intp), []
    for step, limit in zip(at.tolist(), limits, strict=True):
        others = ladder.compared(step)
        others = others[ladder.memory[others] <= limit]
        worse.append(np.setdiff1d(others, ladder.not_told_apart(step)))
    found = ladder.expectation.accuracy
    reported = ConfidenceInterval(found.mean[at], found.low[at], found.high[at])
    return Judged(ladder.steps[at], reported, worse)


def by_gains(ladder: Ladder, limits: Floats) -> Judged:
    """The rule that raysweep has, on the points that are expected to gain alone; it tells none apart."""
    steps = np.flatnonzero(ladder.expectation.gains)
    memory = ladder.memory[ladder.steps[steps]]
    at = steps[np.searchsorted(memory, limits, side="right") - 1]
    found = ladder.expectation.accuracy
    reported = ConfidenceInterval(found.mean[at], found.low[at], found.high[at])
    return Judged(ladder.steps[at], reported, [])


def _judged(
    judged: Judged, true: Floats, best: Indices, fits: list[Indices], luck: float
) -> Iterator[tuple[str, float]]:
    own, reported = true[judged.chosen], judged.reported
    yield "bias of the reported accuracy", float((reported.mean - own).mean()) - luck
    yield "covered by its interval", float(((reported.low <= own) & (own <= reported.high)).mean())
    yield "width of its interval", float((reported.high - reported.low).mean())
    yield "regret", float((true[best] - own).mean())
    if not judged.told_apart:
        return
    # The memory of the device that is asked for most often holds most of the grid.
    last = len(fits) - 1
    as_good = fits[last][true[fits[last]] >= own[last] - 1e-3]
    as_good = as_good[as_good != judged.chosen[last]]
    excluded = np.isin(as_good, judged.told_apart[last])
    yield "told apart, of those as good", float(excluded.mean()) if as_good.size else np.nan
    yield "any of those as good told apart", float(excluded.any()) if as_good.size else np.nan
    yield "not told apart", float(len(fits[last]) - 1 - len(judged.told_apart[last]))


def table(worlds: list[Figures], title: str) -> str:
    """Means over worlds with their standard errors, in Markdown. Shares and accuracies are in percent."""
    columns: dict[tuple[str, str], list[float]] = defaultdict(list)
    for world in worlds:
        for name, value in world.items():
            columns[name].append(value)
    names = list(dict.fromkeys(figure for rule, figure in columns if rule))
    lines = [
        f"## {title}: {len(worlds)} worlds",
        "",
        f"| | {' | '.join(RULES)} |",
        "| --- |" + " ---: |" * len(RULES),
    ]
    for figure in names:
        cells = [_cell(columns[rule, figure], figure) for rule in RULES]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(values: list[float], figure: str) -> str:
    known = np.array([value for value in values if not np.isnan(value)])
    if not known.size:
        return "–"
    scale = 1 if figure in NUMBERS else 100
    error = known.std(ddof=1) / np.sqrt(known.size) if known.size > 1 else np.nan
    return f"{scale * known.mean():.2f} ± {scale * error:.2f}"


def calibration(found: list[tuple[Floats, Bools]]) -> str:
    """The points of all worlds by their p_on_frontier, in Markdown."""
    stays, truly = (np.concatenate(one) for one in zip(*found, strict=True))
    lines = [
        "| p_on_frontier | points | mean | truly on the frontier |",
        "| --- | ---: | ---: | ---: |",
    ]
    for low, high in pairwise(CLASSES):
        own = (stays >= low) & ((stays < high) | (high == CLASSES[-1]))
        if own.any():
            means = f"{stays[own].mean():.2f} | {truly[own].mean():.2f}"
            lines.append(f"| {low:g} to {high:g} | {own.sum()} | {means} |")
    return "\n".join([*lines, ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=14)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--flat", action="store_true", help="all configurations are equally good")
    parser.add_argument("--seed", type=int, default=0, help="of the first world")
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.worlds)
    worlds, on_frontier = [], []
    for seed in seeds:
        world = flat(study_grid()) if asked.flat else structured(seed)
        run = Run.of(world, asked.questions, 1_000 + seed)
        worlds.append(figures(run))
        # Where all are equally good, only the one of least memory is truly on the frontier.
        if not asked.flat:
            on_frontier.append(places(run))
        print(".", end="", flush=True)
    kind = "no differences" if asked.flat else "the study's law"
    print("\n\n" + table(worlds, f"{kind}, {asked.questions} questions"))
    if on_frontier:
        print(calibration(on_frontier))


if __name__ == "__main__":
    main()
