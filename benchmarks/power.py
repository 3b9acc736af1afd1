"""How often a threshold like the study's is decided, by the number of questions and samples.

    python -m benchmarks.power                 renews raysweep/planning/threshold_power.csv, by which
                                               `stages=[plan]` says what a run can decide
    python -m benchmarks.power --worlds 2 --out power.csv      a first look

Runs are drawn from `planted_worlds.study_like` on the study's grid with the full cache: 18 engines, eight
token budgets, and the group sizes up to the number of samples. A world is one run, and its seed draws
questions, answers and bootstrap. Batch size is 1.
"""

import argparse
import csv
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path

from benchmarks import planted_worlds
from raysweep.analysis.threshold import find_thresholds
from raysweep.planning.power import TABLE, Simulated

QUESTIONS, SAMPLES, WORLDS = (12, 30, 60, 100, 198, 300, 500), (8, 16, 32), 40


def decided(cell: tuple[int, int, int]) -> bool:
    """Whether a world's threshold is decided: questions, samples, seed."""
    questions, samples, seed = cell
    world = planted_worlds.study_like(planted_worlds.study_grid(full_cache_alone=True))
    candidates = planted_worlds.drawn(world, questions, seed, samples)
    return find_thresholds(candidates, [1], seed)[1].decided


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int, default=WORLDS)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, default=TABLE)
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread per process; processes share the cores
    rows = simulate(QUESTIONS, SAMPLES, asked.worlds, asked.processes)
    write(shown(rows), asked.out)


if __name__ == "__main__":
    main()
