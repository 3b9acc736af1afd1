"""Measures what choosing the best of thousands does to the numbers, in worlds whose truth is known.

    python -m benchmarks.selection --worlds 14 --questions 30        about two minutes on an idle core

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
"""

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from benchmarks.planted_worlds import World, drawn, flat, off_the_law, study_grid, study_like, truth
from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.ladder import Ladder, ladders
from raysweep.analysis.uncertainty import ConfidenceInterval, paired_difference, score_interval
from raysweep.frontier import frontier_points
from raysweep.metrics import Floats

MEMORIES = 14

# The standard deviations of engines from the law, in logits, which worlds take in turns.
SPREADS = (0.15, 0.2, 0.25, 0.3)

# What is measured of a world, by the name of its rule and figure. NaN where it has no such figure.
Figures = dict[tuple[str, str], float]


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


def figures(world: World, questions: int, seed: int, memories: int = MEMORIES) -> Figures:
    """One run of a world, and both rules judged by its truth."""
    candidates, true = drawn(world, questions, seed), truth(world)
    (ladder,) = ladders(candidates, [1])
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
    }.items():
        for figure, value in _judged(judged, true, best, fits, luck):
            found[name, figure] = value
    points = frontier_points(ladder.memory, candidates.accuracy)
    of_points = (candidates.accuracy - true)[points].mean() - luck
    found["measured", "bias over the frontier's points"] = float(of_points)
    expected = ladder.expectation.accuracy.mean - true[ladder.steps]
    found["shrunken", "bias over the frontier's points"] = float(expected.mean()) - luck
    return found


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


def _judged(
    judged: Judged, true: Floats, best: Indices, fits: list[Indices], luck: float
) -> Iterator[tuple[str, float]]:
    own, reported = true[judged.chosen], judged.reported
    yield "bias of the reported accuracy", float((reported.mean - own).mean()) - luck
    yield "covered by its interval", float(((reported.low <= own) & (own <= reported.high)).mean())
    yield "width of its interval", float((reported.high - reported.low).mean())
    yield "regret", float((true[best] - own).mean())
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
        "| | measured | shrunken |",
        "| --- | ---: | ---: |",
    ]
    for figure in names:
        cells = [_cell(columns[rule, figure], figure) for rule in ("measured", "shrunken")]
        lines.append(f"| {figure} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(values: list[float], figure: str) -> str:
    known = np.array([value for value in values if not np.isnan(value)])
    if not known.size:
        return "–"
    scale = 1 if figure == "not told apart" else 100
    error = known.std(ddof=1) / np.sqrt(known.size) if known.size > 1 else np.nan
    return f"{scale * known.mean():.2f} ± {scale * error:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=14)
    parser.add_argument("--questions", type=int, default=30)
    parser.add_argument("--flat", action="store_true", help="all configurations are equally good")
    parser.add_argument("--seed", type=int, default=0, help="of the first world")
    asked = parser.parse_args()
    seeds = range(asked.seed, asked.seed + asked.worlds)
    worlds = []
    for seed in seeds:
        world = flat(study_grid()) if asked.flat else structured(seed)
        worlds.append(figures(world, asked.questions, 1_000 + seed))
        print(".", end="", flush=True)
    kind = "no differences" if asked.flat else "the study's law"
    print("\n\n" + table(worlds, f"{kind}, {asked.questions} questions"))


if __name__ == "__main__":
    main()
