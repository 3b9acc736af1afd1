"""What an adaptive run costs beside the full one, and how often it keeps its promise, in planted worlds.

    python -m benchmarks.adaptive                        the table, with 40 worlds
    python -m benchmarks.adaptive --worlds 2 --goal memory --laws published
    python -m benchmarks.adaptive --control              error rates where they are largest
    python -m benchmarks.adaptive --run runs/kv +sweep=kv sweep.samples=32
                                                         a finished run, in other orders of its samples
    python -m benchmarks.adaptive --csv                  renews raysweep/planning/adaptive_saving.csv, by
                                                         which `stages=[plan]` says what is saved

The grid is that of `+sweep=full`: 180 engines, 30 questions as in AIME25 and 198 as in GPQA-Diamond, but 32
samples. Each seed is a world of `coupled_worlds` with a run of each benchmark. GPU-seconds are those of the
plan on H100s, with one load of each engine that starts. A trace is as long as the largest token budget that
is wanted (`forcing: wait`), and each budget has a short answer beside it.

A promise is kept if at every memory, and at every batch size that is asked for, what is left is at most
epsilon less accurate than the best of the full run, and if nothing is out that leads all that takes less
memory by more than epsilon. All configurations count, those too whose groups are never judged.
"""

import argparse
import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, fields
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np

import raysweep.planning
from benchmarks import adaptive_control, adaptive_replay
from benchmarks.adaptive_planted import LAWS, STUDY_LIKE, count_by_tables, drawn, prices
from benchmarks.adaptive_promise import lost, share
from benchmarks.adaptive_rules import FullRun, Rule, halving, oracle, racing, unpaired
from benchmarks.coupled_worlds import COUPLINGS, SAMPLES
from raysweep.adaptive.rules import Rules, looks

WORLDS, QUESTIONS, DELTA = 40, (30, 198), 0.05
FRONTIER, MEMORY, MEMORY_BYTES = "frontier", "memory", 24e9
GOALS, EPSILONS = (FRONTIER, MEMORY), (0.5, 1.0, 2.0)
RULES: Mapping[str, Rule] = {
    "racing": racing,
    "racing, unpaired": unpaired,
    "successive halving": halving,
    "oracle": oracle,
}

CSV = Path(raysweep.planning.__file__).with_name("adaptive_saving.csv")
CSV_QUESTIONS, CSV_WORLDS = (12, 30, 60, 100, 198), 10


@dataclass(frozen=True)
class Asked:
    """What a rule is put to: a kind of world, and what the run asks for."""

    law: str
    coupling: str
    goal: str
    epsilon: float
    rule: str

    @property
    def rules(self) -> Rules:
        memory = MEMORY_BYTES if self.goal == MEMORY else None
        batches = (1,) if self.goal == MEMORY else (1, 16)
        return Rules(looks(SAMPLES), self.epsilon, DELTA, batches, memory)


@dataclass(frozen=True)
class Spent:
    """What a rule has spent and lost in one world. Each is a value for each benchmark, but `load_s`.

    gpu_s, full_gpu_s    without loads
    load_s, full_load_s  of each engine once
    """

    tokens: tuple[float, ...]
    full_tokens: tuple[float, ...]
    gpu_s: tuple[float, ...]
    full_gpu_s: tuple[float, ...]
    load_s: float
    full_load_s: float
    loss: tuple[float, ...]
    kept: tuple[bool, ...]

    @property
    def share(self) -> float:
        return (sum(self.gpu_s) + self.load_s) / (sum(self.full_gpu_s) + self.full_load_s)


def spent(asked: Asked, runs: Sequence[FullRun]) -> Spent:
    """What the rule spends and loses on the benchmarks of one world."""
    rules, price = asked.rules, prices()
    ends = [RULES[asked.rule](rules, run) for run in runs]
    own = [ended.tokens(rules, run) for ended, run in zip(ends, runs, strict=True)]
    full = [run.tokens[:, -1].sum(axis=1) for run in runs]
    losses = [lost(rules, run, ended) for ended, run in zip(ends, runs, strict=True)]
    started = np.any([ended.budgets[0] > 0 for ended in ends], axis=0)
    return Spent(
        tokens=tuple(float(each.sum()) for each in own),
        full_tokens=tuple(float(each.sum()) for each in full),
        gpu_s=tuple(float(each @ price.token) for each in own),
        full_gpu_s=tuple(float(each @ price.token) for each in full),
        load_s=float(price.load[started].sum()),
        full_load_s=float(price.load.sum()),
        loss=tuple(one.accuracy for one in losses),
        kept=tuple(one.kept(asked.epsilon) for one in losses),
    )


World = tuple[tuple[Asked, ...], tuple[int, ...], int]


def of_world(world: World) -> list[Spent]:
    """What is asked of one kind of world, with its numbers of questions and its seed."""
    asked, questions, seed = world
    count_by_tables()
    runs = drawn(asked[0].law, asked[0].coupling, questions, seed)
    return [spent(one, runs) for one in asked]


def simulate(
    kinds: Sequence[tuple[Asked, ...]], questions: tuple[int, ...], worlds: int, processes: int
) -> Iterator[tuple[Asked, list[Spent]]]:
    """What each rule spends in every world. Those that are asked of one kind share their worlds."""
    cells = [(asked, questions, seed) for asked in kinds for seed in range(worlds)]
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        found = pool.map(of_world, cells)
        for asked in kinds:
            by_world = [next(found) for _ in range(worlds)]
            for at, one in enumerate(asked):
                yield one, [row[at] for row in by_world]


HEADING = """\
| world | coupling | goal | epsilon | rule | GPU-seconds | by benchmark | tokens | promise kept \
| worst loss |
| --- | --- | --- | ---: | --- | ---: | --- | ---: | --- | ---: |"""


def row(asked: Asked, found: Sequence[Spent]) -> str:
    """A line of the table: means over worlds, and each benchmark's run as a trial of the promise."""
    shares = [each.share for each in found]
    apart = np.mean([np.divide(each.gpu_s, each.full_gpu_s) for each in found], axis=0)
    tokens = np.mean([sum(each.tokens) / sum(each.full_tokens) for each in found])
    kept = [one for each in found for one in each.kept]
    cells = [
        asked.law,
        asked.coupling,
        asked.goal,
        f"{100 * asked.epsilon:g}",
        asked.rule,
        f"{np.mean(shares):.3f} ({min(shares):.2f} to {max(shares):.2f})",
        ", ".join(f"{each:.2f}" for each in apart),
        f"{tokens:.3f}",
        share(sum(kept), len(kept)),
        f"{100 * max(one for each in found for one in each.loss):.2f}",
    ]
    return f"| {' | '.join(cells)} |"


def kinds_of(arguments: argparse.Namespace) -> list[tuple[Asked, ...]]:
    """All that is asked of each kind of world."""
    asked = [
        (goal, points / 100, rule)
        for goal in arguments.goal
        for points in arguments.epsilons
        for rule in arguments.rules
    ]
    kinds = product(arguments.laws, arguments.couplings)
    return [tuple(Asked(*kind, *one) for one in asked) for kind in kinds]


@dataclass(frozen=True)
class Saving:
    """A row of adaptive_saving.csv: the share of the full run's GPU-seconds, a mean over worlds."""

    goal: str
    epsilon: float
    questions: int
    worlds: int
    share: float


def savings(worlds: int, processes: int) -> Iterator[Saving]:
    """In the world of `threshold_power.csv`, with one benchmark of each number of questions."""
    asked = tuple(
        Asked(STUDY_LIKE, "by loss", goal, points / 100, "racing")
        for goal, points in product(GOALS, EPSILONS)
    )
    for questions in CSV_QUESTIONS:
        for one, found in simulate([asked], (questions,), worlds, processes):
            mean = float(np.mean([each.share for each in found]))
            yield Saving(one.goal, one.epsilon, questions, worlds, round(mean, 3))


def write(rows: Iterable[Saving], path: Path) -> None:
    """Write the table once all rows are known, since plans read it meanwhile."""
    known = sorted((asdict(each) for each in rows), key=lambda each: tuple(each.values()))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, [each.name for each in fields(Saving)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(known)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--worlds", type=int)
    parser.add_argument("--questions", type=int, nargs=2, default=QUESTIONS)
    parser.add_argument("--goal", nargs="+", choices=GOALS, default=GOALS)
    parser.add_argument("--epsilons", nargs="+", type=float, default=EPSILONS, help="in points")
    parser.add_argument("--laws", nargs="+", choices=LAWS, default=LAWS)
    parser.add_argument("--couplings", nargs="+", choices=COUPLINGS, default=["by loss"])
    parser.add_argument("--rules", nargs="+", choices=RULES, default=list(RULES))
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--control", action="store_true")
    parser.add_argument("--csv", action="store_true")
    parser.add_argument("--run", help="the folder of a finished run; nothing is planted")
    parser.add_argument("changes", nargs="*", help="changes of the configuration that made the run")
    asked = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # one thread per process; processes share the cores
    if asked.run:
        adaptive_replay.main(asked.run, asked.changes, asked.worlds)
    elif asked.control:
        adaptive_control.main(asked.worlds, asked.processes)
    elif asked.csv:
        write(savings(asked.worlds or CSV_WORLDS, asked.processes), CSV)
    else:
        print(HEADING)
        every = simulate(
            kinds_of(asked), tuple(asked.questions), asked.worlds or WORLDS, asked.processes
        )
        for one, found in every:
            print(row(one, found), flush=True)


if __name__ == "__main__":
    main()
