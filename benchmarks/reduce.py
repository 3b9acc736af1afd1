"""Compares the stage reduce with a pandas groupby: a million samples, eight budgets, seven group sizes.

    python -m benchmarks.reduce --out runs/benchmark        about five minutes on an idle machine

Both read the same folder of random samples (`samples`) and give the accuracy of every scenario. The program
checks that these agree. The pandas version is the obvious one: read the parts, explode the answers, group by
engine, question and budget, and count the votes of each group. It computes nothing else, while reduce also
computes intervals, all frontiers with their bootstrap, and thresholds. As pandas is slow, both are measured
on a part of the samples in turns, which gives the ratio. Then reduce is measured on all samples. Each
measurement has its own process.
"""

import argparse
import multiprocessing
import resource
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from pathlib import Path

import pandas as pd

from benchmarks.samples import GROUP_SIZES, drawn_run, write_samples
from raysweep.stages.folder_view import FolderView
from raysweep.stages.reduce import reduce_folder
from raysweep.storage.store import Store
from raysweep.system.quantities import human_bytes

TIMES = ("wall_s", "cpu_s")
KEY = ["engine_id", "token_budget", "group_size"]


@dataclass(frozen=True)
class Measured:
    wall_s: float
    cpu_s: float  # unlike wall_s, it hardly depends on other users of the machine
    peak_bytes: int
    scenarios: int


def ours(samples: int, folder: Path) -> pd.Series:
    """Accuracy by engine, budget and group size, from the stage reduce."""
    reduction = reduce_folder(FolderView(drawn_run(samples), Store(str(folder))))
    return reduction.scenarios.to_pandas().set_index(KEY).accuracy


def pandas_groupby(samples: int, folder: Path) -> pd.Series:
    """The same with pandas."""
    columns = ["engine_id", "question_id", "answers"]
    rows = pd.read_parquet(folder / "samples", columns=columns)
    rows = rows.assign(engine_id=rows.engine_id.astype(str)).explode("answers", ignore_index=True)
    said = pd.DataFrame(rows.pop("answers").tolist())[["token_budget", "answer", "outcome"]]
    rows = rows.join(said)
    per_question = rows.groupby(["engine_id", "token_budget", "question_id"])[
        ["answer", "outcome"]
    ].apply(_votes_of_group)
    per_question.columns.name = "group_size"
    accuracy = per_question.stack().groupby(level=KEY).mean()
    assert isinstance(accuracy, pd.Series)
    return accuracy


def _votes_of_group(group: pd.DataFrame) -> pd.Series:
    wrong = group.answer[group.outcome == "wrong"].value_counts()
    correct = int((group.outcome == "correct").sum())
    won = subsets_won(correct, tuple(sorted(wrong)), len(group) - correct - int(wrong.sum()))
    return pd.Series({size: won[size] / comb(len(group), size) for size in GROUP_SIZES})


@lru_cache(maxsize=1 << 18)
def subsets_won(correct: int, wrong: tuple[int, ...], absent: int) -> list[float]:
    """The number of subsets of one question's samples whose majority is correct, by size of the subset.

    Ties count in part. A polynomial is stored as its value at x = 2^n, so its coefficients, which are
    numbers of subsets, are the digits.
    """
    n = correct + sum(wrong) + absent
    x, won = 1 << n, [0.0] * (n + 1)
    for votes in range(1, correct + 1):
        free = absent + sum(size for size in wrong if size < votes)
        ways = [comb(correct, votes) * x**votes * (1 + x) ** free]  # by the number of ties
        for size in (size for size in wrong if size >= votes):
            fewer = sum(comb(size, taken) * x**taken for taken in range(votes))
            equal = comb(size, votes) * x**votes
            ways = [a * fewer + b * equal for a, b in zip([*ways, 0], [0, *ways], strict=True)]
        for tied, poly in enumerate(ways):
            for k in range(n + 1):
                won[k] += ((poly >> (k * n)) & (x - 1)) / (1 + tied)
    return won


SUBJECTS: dict[str, Callable[[int, Path], pd.Series]] = {
    "raysweep reduce": ours,
    "pandas groupby": pandas_groupby,
}


def timed(name: str, samples: int, folder: Path) -> tuple[Measured, pd.Series]:
    started, started_cpu = time.perf_counter(), time.process_time()
    accuracy = SUBJECTS[name](samples, folder)
    wall_s, cpu_s = time.perf_counter() - started, time.process_time() - started_cpu
    peak_bytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return Measured(wall_s, cpu_s, peak_bytes, len(accuracy)), accuracy


def measure(name: str, samples: int, folder: Path) -> tuple[Measured, pd.Series]:
    """One measurement in its own process."""
    print(f"\r{name:<20} {samples:,} samples", end=" ", file=sys.stderr, flush=True)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(timed, (name, samples, folder))


def report(samples: int, shared: int, repeats: int, out: Path) -> str:
    """Measure both on `shared` samples and reduce on `samples`. Writes and returns the Markdown."""
    with tempfile.TemporaryDirectory() as folder:
        small, large = Path(folder) / "small", Path(folder) / "large"
        there = write_samples(drawn_run(shared), Store(str(small)))
        runs = [(name, *measure(name, shared, small)) for _ in range(repeats) for name in SUBJECTS]
        check_agreement({name: accuracy for name, _, accuracy in runs})
        of_all = write_samples(drawn_run(samples), Store(str(large)))
        alone, _ = measure("raysweep reduce", samples, large)
    print(file=sys.stderr)
    by_name = {name: [m for n, m, _ in runs if n == name] for name in SUBJECTS}
    wall, cpu = ({name: _median(by_name[name], field) for name in SUBJECTS} for field in TIMES)
    lines = [
        f"## {there:,} samples × 8 budgets × 7 group sizes: seconds, median of {repeats} (min–max)",
        "",
        "| | seconds | CPU seconds | peak memory |",
        "| --- | ---: | ---: | ---: |",
        *(_row(name, measured) for name, measured in by_name.items()),
        f"| pandas / raysweep | **{_ratio(wall):.1f} ×** | **{_ratio(cpu):.1f} ×** | |",
        "",
        f"## {of_all:,} samples: {alone.scenarios:,} scenarios",
        "",
        f"{alone.wall_s:.1f} s, {alone.cpu_s:.1f} s of one CPU; "
        f"at most {human_bytes(alone.peak_bytes)} of memory",
        "",
    ]
    out.mkdir(parents=True, exist_ok=True)
    text = "\n".join(lines)
    (out / "reduce.md").write_text(text)
    return text


def check_agreement(accuracies: dict[str, pd.Series]) -> None:
    """Raise unless all subjects found the same scenarios and accuracies."""
    first, *others = (accuracy.sort_index() for accuracy in accuracies.values())
    for other in others:
        pd.testing.assert_series_equal(first, other, check_names=False, rtol=0, atol=1e-9)


def _row(name: str, measured: list[Measured]) -> str:
    wall, cpu = (_seconds(measured, field) for field in TIMES)
    return f"| {name} | {wall} | {cpu} | {human_bytes(_median(measured, 'peak_bytes'))} |"


def _seconds(measured: list[Measured], field: str) -> str:
    values = sorted(getattr(one, field) for one in measured)
    return f"{statistics.median(values):.2f} ({values[0]:.2f}–{values[-1]:.2f})"


def _median(measured: list[Measured], field: str) -> float:
    return statistics.median(getattr(one, field) for one in measured)


def _ratio(seconds: dict[str, float]) -> float:
    return seconds["pandas groupby"] / seconds["raysweep reduce"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--out", type=Path, default=Path("runs/benchmark"))
    parser.add_argument("--samples", type=int, default=1_000_000)
    parser.add_argument(
        "--shared", type=int, default=100_000, help="samples that pandas also reads"
    )
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(report(arguments.samples, arguments.shared, arguments.repeats, arguments.out))


if __name__ == "__main__":
    main()
