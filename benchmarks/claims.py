"""How often the report's sentences after a search are false, and how often a true one is found.

    python -m benchmarks.claims --worlds 60        some minutes on an idle core

Runs of the study's full grid are drawn from worlds with a known truth (`planted_worlds`). In `flat` worlds no
configuration is better than another, so whatever names a side is false. In `votes_lead`, votes lead by up to
8 points, and so do KV policies that leave memory for more of them. Beside this stands the plain rule:
configurations are chosen and judged on the same questions, and each interval is taken alone. In `study_like`
worlds, verdicts on the study's findings are held against those of the true accuracies, and so are the effects
that decide them.
"""

import argparse
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from math import sqrt

import numpy as np

from benchmarks.planted_worlds import (
    World,
    drawn,
    flat,
    study_grid,
    study_like,
    truth,
    votes_lead,
)
from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates, Indices
from raysweep.analysis.study import EVICTING, QUANTIZED, of_kind
from raysweep.analysis.threshold import Threshold
from raysweep.analysis.uncertainty import FEWEST_QUESTIONS, paired_difference
from raysweep.analysis.verdicts import FAILS, HOLDS, Verdict, find_verdicts
from raysweep.frontier import best_within, frontier_points

BATCH_SIZE = 1
QUESTIONS = (30, 198)
# The threshold has a benchmark of its own.
NO_THRESHOLD = Threshold(False, "not asked here")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=60)
    parser.add_argument("--questions", type=int, nargs="+", default=QUESTIONS)
    arguments = parser.parse_args()
    grid, seeds = study_grid(), range(arguments.worlds)
    for questions in arguments.questions:
        _print("nothing differs", questions, shares(flat(grid), questions, seeds), seeds)
        _print(
            "votes lead by 8 points", questions, shares(votes_lead(grid), questions, seeds), seeds
        )
        made, biases = verdict_errors(study_like(grid), questions, seeds)
        _print("a law as in the study", questions, made, seeds)
        _print_biases(biases)


def shares(world: World, questions: int, seeds: Sequence[int]) -> Mapping[str, float]:
    """The share of runs in which each kind of claim is made."""
    made: Counter[str] = Counter()
    for seed in seeds:
        candidates = drawn(world, questions, seed)
        for kind, claim in KINDS.items():
            made[kind] += claim(candidates)
        made.update(
            f"the finding '{one.finding}' holds"
            for one in find_verdicts(candidates, BATCH_SIZE, NO_THRESHOLD)
            if one.verdict == HOLDS
        )
    asked = [f"the finding '{name}' holds" for name in ("bits", "votes", "cache", "eviction")]
    return {kind: made[kind] / len(seeds) for kind in (*KINDS, *asked)}


def verdict_errors(
    world: World, questions: int, seeds: Sequence[int]
) -> tuple[Mapping[str, float], Mapping[str, Sequence[float]]]:
    """The share of runs that decide each finding, and of those that decide it wrongly.

    Beside this, how much each effect is found to be larger than it is, run by run.
    """
    accuracies = np.tile(truth(world), (FEWEST_QUESTIONS, 1))
    true = find_verdicts(Candidates(world.grid.members, accuracies), BATCH_SIZE, NO_THRESHOLD)
    asked = [at for at, fact in enumerate(true) if fact.parts]
    counts = {
        f"the finding '{true[at].finding}' {what}": 0
        for at in asked
        for what in ("is decided", "is decided wrongly")
    }
    biases: dict[str, list[float]] = defaultdict(list)
    for seed in seeds:
        found = find_verdicts(drawn(world, questions, seed), BATCH_SIZE, NO_THRESHOLD)
        for at in asked:
            of = f"the finding '{true[at].finding}'"
            counts[f"{of} is decided"] += found[at].verdict in (HOLDS, FAILS)
            counts[f"{of} is decided wrongly"] += is_wrong(found[at], true[at])
            for part, fact in zip(found[at].parts, true[at].parts, strict=True):
                name = f"{part.of} ({100 * fact.claim.effect:+.1f})"
                biases[name].append(part.claim.effect - fact.claim.effect)
    return {kind: count / len(seeds) for kind, count in counts.items()}, biases


def is_wrong(found: Verdict, fact: Verdict) -> bool:
    """Whether a verdict is decided, and is not that of the true accuracies, which decide every finding."""
    return found.verdict in (HOLDS, FAILS) and found.verdict != fact.verdict


def votes_first_better(candidates: Candidates) -> bool:
    rows = study.parallel_scaling(candidates, BATCH_SIZE)
    return any(row["favours"] == "parallel" for row in rows)


def votes_row(candidates: Candidates) -> bool:
    rows = study.parallel_scaling(candidates, BATCH_SIZE)
    return any(row["favours"] != "neither" for row in rows)


def eviction_row(candidates: Candidates) -> bool:
    rows = study.eviction_or_bits(candidates, BATCH_SIZE)
    return any(row["favours"] != "neither" for row in rows)


def eviction_named(candidates: Candidates) -> bool:
    return any(claim.sign for claim in study.evicting_by_weights(candidates, BATCH_SIZE).values())


def votes_plainly(candidates: Candidates) -> bool:
    groups = candidates.group_sizes
    sides = np.flatnonzero(groups > 1), np.flatnonzero(groups == 1)
    return any(low > 0 for low, _ in _alone(candidates, *sides))


def eviction_plainly(candidates: Candidates) -> bool:
    """Whether one kind is better somewhere, and the other nowhere, for some model and precision."""
    by_weights: dict[tuple[str, str], list[int]] = defaultdict(list)
    for index, chosen in enumerate(candidates.configurations):
        by_weights[chosen.model, chosen.precision].append(index)
    for own in by_weights.values():
        sides = (of_kind(candidates, own, kind) for kind in (EVICTING, QUANTIZED))
        bounds = list(_alone(candidates, *sides))
        if any(low > 0 for low, _ in bounds) != any(high < 0 for _, high in bounds):
            return True
    return False


def _alone(candidates: Candidates, one: Indices, other: Indices) -> Iterator[tuple[float, float]]:
    """The 95% interval of the difference at each memory where the best of either changes."""
    memory, accuracy = candidates.memory_bytes(BATCH_SIZE), candidates.accuracy
    steps = [memory[side[frontier_points(memory[side], accuracy[side])]] for side in (one, other)]
    for limit in np.unique(np.concatenate(steps)).tolist():
        best = [best_within(memory[side], accuracy[side], limit) for side in (one, other)]
        if None not in best:
            first, second = (
                candidates.scores[:, side[place]]
                for side, place in zip((one, other), best, strict=True)
            )
            found = paired_difference(first, second)
            yield float(found.low), float(found.high)


KINDS: Mapping[str, Callable[[Candidates], bool]] = {
    "votes are first better at a memory": votes_first_better,
    "votes are first better at a memory, plain rule": votes_plainly,
    "a memory favours votes or one sample": votes_row,
    "evicting or fewer bits is better for a model": eviction_named,
    "evicting or fewer bits is better for a model, plain rule": eviction_plainly,
    "a memory of a model favours evicting or fewer bits": eviction_row,
}


def _print(title: str, questions: int, made: Mapping[str, float], seeds: Sequence[int]) -> None:
    worlds = len(seeds)
    print(f"{title}, {questions} questions, {worlds} worlds")
    for kind, share in made.items():
        # A share of 0 or 1 is not known without error.
        error = sqrt(max(share * (1 - share), 1 / worlds / 4) / worlds)
        print(f"  {kind:58} {share:6.1%}  +- {error:.1%}", flush=True)


def _print_biases(biases: Mapping[str, Sequence[float]]) -> None:
    print("  found less true effect, in points (true effect)")
    for name, values in biases.items():
        error = np.std(values, ddof=1) / sqrt(len(values)) if len(values) > 1 else np.nan
        print(f"  {name:82} {100 * np.mean(values):+5.1f}  +- {100 * error:.1f}", flush=True)


if __name__ == "__main__":
    main()
