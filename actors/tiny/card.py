"""The model card's table, from a finished run: `python -m actors.tiny.card runs/embedded`.

It has the full KV cache, 16 bit and temperature 1, and one row per model and benchmark.
"""

import sys
from typing import Any

from raysweep.storage import result_files
from raysweep.storage.store import Store

BUDGETS = (32, 64, 128, 256)
GROUP = 8
HEADER = (
    "| model | parameters | benchmark | "
    + " | ".join(f"pass@1, {budget} tokens" for budget in BUDGETS)
    + f" | maj@{GROUP}, {BUDGETS[-1]} | pass@{GROUP}, {BUDGETS[-1]} |"
)

# A row of scenarios.parquet.
Row = dict[str, Any]


def card_rows(scenarios: list[Row]) -> list[str]:
    """The table's Markdown rows. Within a benchmark, models are sorted by size."""
    full = {
        (row["benchmark"], row["params"], row["token_budget"], row["group_size"]): row
        for row in scenarios
        if row["kv_policy"] == "full" and row["weight_bits"] == 16
    }
    rows = []
    for benchmark, params in sorted({key[:2] for key in full}):
        one, group = (full[benchmark, params, BUDGETS[-1], size] for size in (1, GROUP))
        shares = [full[benchmark, params, budget, 1]["pass_at_1"] for budget in BUDGETS]
        shares += [group["accuracy"], group["pass_at_g"]]
        shown = " | ".join(f"{share:.2f}" for share in shares)
        rows.append(f"| {one['model']} | {params:,} | {benchmark} | {shown} |")
    return rows


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m actors.tiny.card FOLDER-OF-A-RUN")
    scenarios = Store(sys.argv[1]).read_table(result_files.SCENARIOS).to_pylist()
    print(HEADER, "|" + " --- |" * (HEADER.count("|") - 1), *card_rows(scenarios), sep="\n")


if __name__ == "__main__":
    main()
