"""A sweep whose actors, nodes, drivers and storage fail at random, beside a calm one.

Faults come one after the other, in an order drawn from the seed, and each counts only if it was seen to
happen. Prints a table.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
from cluster_in_chaos import Chaos
from report import samples, table


def decisions(run: Path) -> dict[str, str]:
    """The records of an adaptive run's decisions."""
    return {file.name: file.read_text() for file in sorted(run.glob("adaptive/*.json"))}


@contextmanager
def chaos(
    folder: Path, seed: int, questions: int, changes: tuple[str, ...] = ()
) -> Iterator[Chaos]:
    made = Chaos(folder, seed, questions, changes=changes)
    try:
        yield made
    finally:
        made.close()


def run(
    folder: Path,
    seed: int,
    plan: dict[str, int],
    questions: int,
    changes: tuple[str, ...] = (),
) -> dict:
    """Inject the planned faults, a count per kind, and compare with a calm run."""
    started = time.monotonic()
    with chaos(folder, seed, questions, changes) as made:
        kinds = [kind for kind, count in plan.items() for _ in range(count)]
        made.random.shuffle(kinds)
        made.generates_since(0.0)
        for kind in kinds:
            time.sleep(made.random.uniform(0.1, 0.6))
            made.do(kind)
            print(f"{time.monotonic() - started:6.1f} s  {kind}", flush=True)
        status = made.finish()
        made.calm()
        summaries = [
            json.loads((folder / name / "test" / "summary.json").read_text())
            for name in ("runs", "calm")
        ]
        print(table(made.report, made.lost_shards()))
        print(f"{time.monotonic() - started:.0f} s in all")
        return {
            "status": status,
            "report": made.report,
            "lost_shards": made.lost_shards(),
            "samples": (samples(folder / "runs/test"), samples(folder / "calm/test")),
            "scenarios": tuple(
                pd.read_parquet(folder / name / "test" / "scenarios.parquet")
                for name in ("runs", "calm")
            ),
            "summaries": tuple(summaries),
            "decisions": tuple(decisions(folder / name / "test") for name in ("runs", "calm")),
        }
