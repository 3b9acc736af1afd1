"""How often a threshold like the study's is decided, by the number of questions and samples.

    python -m benchmarks.power                 renews raysweep/planning/threshold_power.csv, by which
                                               `stages=[plan]` says what a run can decide
    python -m benchmarks.power --worlds 2 --out power.csv      a first look
    python -m benchmarks.power --run runs/embedded             half-widths of a finished run and promised ones

Runs are drawn from `planted_worlds.study_like`, the world "study-like" of `benchmarks.threshold`. Its grid is
the study's with the full cache: 18 engines, eight token budgets, group sizes up to the number of samples.
Each seed is a run with questions, answers and a bootstrap of its own. Batch size is 1.
"""

import argparse
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from itertools import combinations
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from benchmarks import planted_worlds
from raysweep import open_run
from raysweep.analysis.candidates import Candidates
from raysweep.analysis.configurations import Configuration
from raysweep.analysis.threshold import find_thresholds
from raysweep.analysis.uncertainty import paired_difference, score_interval
from raysweep.planning.power import TABLE, Simulated, power

QUESTIONS, SAMPLES, WORLDS = (12, 30, 60, 100, 198), (8, 16, 32), 40

# Accuracies that count as a half, and as the same.
MIDDLE, ALIKE = (0.3, 0.7), 0.15


def decided(cell: tuple[int, int, int]) -> bool:
    """Whether a world's threshold is decided: questions, samples, seed."""
    questions, samples, seed = cell
    world = planted_worlds.study_like(planted_worlds.study_grid(full_cache_alone=True))
    candidates = planted_worlds.drawn(world, questions, seed, samples)
    return find_thresholds({"": candidates}, [1], seed)["", 1].decided


def simulate(
    questions: Sequence[int], samples: Sequence[int], worlds: int, processes: int
) -> Iterator[Simulated]:
    """A row for each number of questions and of samples."""
    sizes = [(n, k) for k in samples for n in questions]
    cells = [(*size, seed) for size in sizes for seed in range(worlds)]
    # Started afresh, so that each process reads OMP_NUM_THREADS before it imports numpy.
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        answers = pool.map(decided, cells)
        for n, k in sizes:
            yield Simulated(n, k, worlds, sum(next(answers) for _ in range(worlds)))


def shown(rows: Iterable[Simulated]) -> Iterator[Simulated]:
    """The same rows, each of which is printed as soon as it is known."""
    for row in rows:
        print(f"{row.questions:>4} questions, {row.samples} samples: {row.share:.0%}", flush=True)
        yield row


def write(rows: Iterable[Simulated], path: Path) -> None:
    """Write the table once all rows are known, since plans read it meanwhile."""
    known = [asdict(row) for row in rows]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(Simulated.__dataclass_fields__), lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)


def measured(candidates: Candidates) -> tuple[float, float]:
    """Medians of a run's half-widths: of accuracies, and of differences between two models.

    Only scenarios of single samples count whose accuracy is MIDDLE, and only pairs at one budget whose
    accuracies are ALIKE, since `planning.power` promises widths for these.
    """
    single = [
        index
        for index, chosen in enumerate(candidates.configurations)
        if not chosen.votes and MIDDLE[0] < candidates.accuracy[index] < MIDDLE[1]
    ]
    pairs = [
        (one, other)
        for one, other in combinations(single, 2)
        if abs(candidates.accuracy[one] - candidates.accuracy[other]) < ALIKE
        and comparable(candidates.configurations[one], candidates.configurations[other])
    ]
    first, second = np.array(pairs).reshape(-1, 2).T
    scores = candidates.scores
    accuracy = score_interval(scores[:, single])
    difference = paired_difference(scores[:, first], scores[:, second])
    widths = [np.median(found.high - found.low) / 2 for found in (accuracy, difference)]
    return float(widths[0]), float(widths[1])


def comparable(one: Configuration, other: Configuration) -> bool:
    return one.model != other.model and one.token_budget == other.token_budget


def print_beside(folder: str) -> None:
    """The half-widths of a finished run and those that its plan promises, for each benchmark."""
    run = open_run(folder)
    for benchmark, rows in run.scenarios.groupby("benchmark"):
        questions, samples = int(rows.n_questions.max()), int(rows.n_samples.max())
        candidates, promised = run.candidates(str(benchmark)), power(questions, samples)
        accuracy, difference = measured(candidates)
        print(f"{benchmark}: {questions} questions of {samples} samples, half-widths in points")
        print(f"  accuracy       promised {promised.accuracy:6.1%}, measured {accuracy:6.1%}")
        print(f"  between models promised {promised.difference:6.1%}, measured {difference:6.1%}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=TABLE)
    parser.add_argument("--run", help="the folder of a finished run; nothing is simulated")
    asked = parser.parse_args()
    if asked.run:
        return print_beside(asked.run)
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread per process; processes share the cores
    rows = simulate(QUESTIONS, SAMPLES, asked.worlds, asked.processes)
    write(shown(rows), asked.out)


if __name__ == "__main__":
    main()
