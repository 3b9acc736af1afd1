"""How often the scale threshold is decided, and how often wrongly, in planted worlds.

    python -m benchmarks.threshold --worlds 20      about two minutes per world kind on one core

The grid is the study's 18 engines with the full cache: 1,008 scenarios at batch size 1. In each world the
documented question is put to the true accuracies, which gives the true advantages and the true threshold. A
verdict is *wrong* if it is decided and its interval leaves out the true threshold, or if there is none.
A smooth verdict counts as decided whether or not the law fits; the last column says how often it does.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from benchmarks.planted_worlds import (
    TOKEN_BUDGETS,
    World,
    drawn,
    flat,
    off_the_law,
    study_grid,
    study_like,
    truth,
)
from raysweep import memory
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.doubling import Doublings
from raysweep.analysis.threshold import POOLED, Threshold, find_thresholds
from raysweep.metrics import Floats

QUESTIONS, BATCH_SIZE = 198, 1
FULL_CACHE = study_grid(full_cache_alone=True)


@dataclass(frozen=True, eq=False)
class Truth:
    """The true advantages of a world, and the size at which they change sign.

    mean  advantage of weights at each size: [sizes]
    """

    sizes: Floats
    mean: Floats
    contests: Floats
    threshold: float | None

    def in_words(self) -> str:
        signs = " ".join(f"{100 * value:+.0f}" for value in self.mean)
        place = "none" if self.threshold is None else f"{self.threshold / 1e9:.2f} GB"
        return f"{place} ({signs})"


@dataclass(frozen=True)
class Kind:
    """A kind of world, how many of its benchmarks are pooled, and whether it has a threshold."""

    world: Callable[[], World]
    has_threshold: bool = True
    benchmarks: int = 1

    @cached_property
    def truth(self) -> Truth:
        return true_advantages(self.world(), self.has_threshold)


def true_advantages(world: World, has_threshold: bool) -> Truth:
    """The documented question, put to the true accuracies."""
    accuracies = truth(world)[:, None]
    grid = Candidates(world.grid.members, np.zeros((1, len(accuracies))))
    doublings = Doublings(grid, [BATCH_SIZE])
    (contests,) = doublings.contests(accuracies, accuracies)
    (total,), (number,) = contests.totals(len(doublings.sizes))
    met = number > 0
    sizes, gained = doublings.sizes[met], total[met]
    threshold = None
    if has_threshold:
        running = np.cumsum(gained)
        threshold = float(sizes[1 + (2 * running[:-1] - running[-1]).argmax()])
    return Truth(sizes, gained / number[met], number[met], threshold)


def bent(*slopes: tuple[float, float], per_doubling: float, start: float = -3.0) -> World:
    """Weights are worth so many logits per doubling up to each of these sizes.

    slopes  (bytes, logits per doubling up to there), in order
    """
    size = np.log2(FULL_CACHE.column(lambda e: memory.weights_bytes(e.model, e.weights)))
    worth, since = np.zeros_like(size), float(size.min())
    for until, slope in slopes:
        worth += slope * np.clip(size - since, 0, np.log2(until) - since)
        since = float(np.log2(until))
    thought = np.log2(np.array(TOKEN_BUDGETS) / TOKEN_BUDGETS[0])
    return World(FULL_CACHE, start + worth + per_doubling * thought)


KINDS = {
    "study-like": Kind(lambda: study_like(FULL_CACHE)),
    "study-like, steeper below": Kind(lambda: study_like(FULL_CACHE, below=1.3)),
    "study-like, engines off the law by 0.15": Kind(
        lambda: off_the_law(study_like(FULL_CACHE), 0.15, 0)
    ),
    "study-like, two benchmarks of 99": Kind(lambda: study_like(FULL_CACHE), benchmarks=2),
    "flat": Kind(lambda: flat(FULL_CACHE), has_threshold=False),
    "tokens always": Kind(lambda: bent((100e9, 0.05), per_doubling=0.8, start=-2), False),
    "weights always": Kind(lambda: bent((100e9, 0.8), per_doubling=0.02, start=-3), False),
    "plus-minus-plus": Kind(
        lambda: bent((1.4e9, 1.2), (7e9, 0.0), (100e9, 1.0), per_doubling=0.25), False
    ),
}


@dataclass(frozen=True)
class Counted:
    """Verdicts on one kind's worlds."""

    worlds: int
    decided: int
    wrong: int
    several: int  # "there is more than one change"

    @classmethod
    def of(cls, verdicts: Sequence[Threshold], true: float | None) -> "Counted":
        return cls(
            len(verdicts),
            sum(one.decided for one in verdicts),
            sum(is_wrong(one, true) for one in verdicts),
            sum("more than one change" in one.reason for one in verdicts),
        )


def is_wrong(verdict: Threshold, true: float | None) -> bool:
    """Whether a threshold is announced that does not exist or lies outside its interval."""
    if not verdict.decided or verdict.low is None or verdict.high is None:
        return False
    return true is None or not verdict.low <= true <= verdict.high


def verdict(kind: Kind, questions: int, seed: int) -> Threshold:
    """What one run of the world says."""
    each = questions // kind.benchmarks
    own = {str(i): drawn(kind.world(), each, 1_000 * i + seed) for i in range(kind.benchmarks)}
    found = find_thresholds(own, [BATCH_SIZE], 1)
    return found[POOLED if len(own) > 1 else "0", BATCH_SIZE]


def share(part: int, whole: int) -> str:
    """A percentage with its Monte Carlo error, that of (part + 1)/(whole + 2)."""
    middle = (part + 1) / (whole + 2)
    return f"{100 * part / whole:.0f}% ± {100 * np.sqrt(middle * (1 - middle) / whole):.0f}"


def row(name: str, questions: int, worlds: int) -> str:
    """A line of the table; names the seed and verdict of every wrong one below it."""
    kind, started = KINDS[name], time.process_time()
    verdicts = [verdict(kind, questions, seed) for seed in range(worlds)]
    seconds = (time.process_time() - started) / worlds
    smooth = [one.smooth for one in verdicts if one.smooth]
    true = kind.truth.threshold
    free, law = (Counted.of(said, true) for said in (verdicts, smooth))
    fits = sum((one.fit_p or 0) > 0.05 for one in smooth)
    cells = [name, kind.truth.in_words(), str(questions), str(worlds)]
    for counted in (free, law):
        cells += [
            share(counted.decided, worlds),
            share(counted.wrong, worlds),
            str(counted.several),
        ]
    return f"| {' | '.join([*cells, share(fits, worlds), f'{seconds:.1f}'])} |"


HEADING = """\
| world | true threshold (advantages in points) | questions | worlds | model-free: decided | wrong \
| several changes | smooth: decided | wrong | several changes | law fits | CPU s |
| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=20)
    parser.add_argument("--questions", type=int, default=QUESTIONS)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    arguments = parser.parse_args()
    lines = [HEADING]
    print(HEADING)
    for name in arguments.kinds:
        lines.append(row(name, arguments.questions, arguments.worlds))
        print(lines[-1], flush=True)
    arguments.out.mkdir(parents=True, exist_ok=True)
    (arguments.out / "threshold.md").write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
