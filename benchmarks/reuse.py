"""Forks and pools beside one run per scenario: the same estimates, and the tokens that each way takes.

    python -m benchmarks.reuse --out runs/reuse        some minutes on two cores

In raysweep one trace serves all token budgets, and one pool of samples serves all group sizes. The peer runs
every scenario by itself. It makes a run with its own seed per budget, and a pool of its own per group size,
with as many groups as raysweep estimates from. The accuracies of single samples (G = 1) must agree. Printed
are the share of scenarios whose difference lies within its 95% interval, and both numbers of tokens.
"""

import argparse
import math
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from raysweep import open_run

BUDGETS, SAMPLES, GROUPS = (16, 32, 64, 96, 128, 192, 256), 8, (1, 2, 3, 4, 6, 8)
KEY = ["model", "weight_bits", "kv_policy", "benchmark", "token_budget"]
MODELS = "sweep.models=[tiny-60k,tiny-340k]"


def sweep(out: Path, run: str, *changes: str) -> None:
    stages = "stages=[plan,prepare,generate,reduce]"
    command = [
        sys.executable,
        "-m",
        "raysweep",
        f"out={out}",
        f"run={run}",
        stages,
        MODELS,
        *changes,
    ]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def tokens(folder: Path) -> int:
    """Decoded tokens of all parts: those of the traces and those of the forks' answers."""
    total = 0
    for file in folder.glob("samples/*/*.parquet"):
        rows = pq.read_table(file, columns=["trace_tokens", "answers"]).to_pylist()
        for row in rows:
            forks = sum(answer["answer_tokens"] for answer in row["answers"] if answer["forced"])
            total += row["trace_tokens"] + forks
    return total


def singles(folder: Path) -> pd.DataFrame:
    """Accuracy of single samples with its interval, by scenario."""
    scenarios = open_run(str(folder)).scenarios
    rows = scenarios[scenarios.group_size == 1].set_index(KEY)
    return pd.DataFrame(rows[["accuracy", "accuracy_lo", "accuracy_hi"]])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, required=True)
    out = parser.parse_args().out
    sweep(out, "forks")
    ours, pool = tokens(out / "forks"), singles(out / "forks")
    theirs, each = 0, []
    for number, budget in enumerate(BUDGETS):
        alone = [f"sweep.token_budgets=[{budget}]", f"seed={number + 1}"]
        sweep(out, f"budget-{budget}", *alone)
        theirs += tokens(out / f"budget-{budget}")
        each.append(singles(out / f"budget-{budget}"))
    groups = sum(size for size in GROUPS) / max(GROUPS)  # a pool per group size
    agree = agreement(pool, pd.concat(each))
    print(
        f"{len(pool)} scenarios of single samples: {agree:.1%} agree within 95% of their difference"
    )
    print(f"forks and one pool   {ours:12,} tokens")
    print(f"a run for each budget{theirs:12,} tokens, {theirs / ours:.1f} x")
    whole = theirs * groups
    print(f"and each group size  {whole:12,.0f} tokens, {whole / ours:.1f} x")


def agreement(ours: pd.DataFrame, theirs: pd.DataFrame) -> float:
    """Share of scenarios whose difference is no more than its 95% interval allows."""
    both = ours.join(theirs, rsuffix="_alone", how="inner")
    assert len(both) == len(ours) == len(theirs)
    wide = [
        math.hypot(high - low, other_high - other_low) / 2
        for low, high, other_low, other_high in both[
            ["accuracy_lo", "accuracy_hi", "accuracy_lo_alone", "accuracy_hi_alone"]
        ].itertuples(index=False)
    ]
    return float(((both.accuracy - both.accuracy_alone).abs() <= wide).mean())


if __name__ == "__main__":
    main()
