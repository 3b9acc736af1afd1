"""The model card's table, from a finished run: `python -m actors.tiny.card runs/embedded`.

Full KV cache, 16 bit, 16 samples a question at temperature 1. One row for each model and benchmark.
"""

import sys

import pandas as pd

from raysweep.store import Store

BUDGETS = (32, 64, 128, 256)
GROUP = 8
HEADER = (
    "| model | parameters | benchmark | "
    + " | ".join(f"pass@1, {budget} tokens" for budget in BUDGETS)
    + f" | maj@{GROUP}, {BUDGETS[-1]} | pass@{GROUP}, {BUDGETS[-1]} |"
)


def card_rows(scenarios: pd.DataFrame) -> list[str]:
    """Markdown rows, models by size within each benchmark."""
    full = scenarios[scenarios["kv_policy"] == "full"].sort_values(["benchmark", "params"])
    rows = []
    for (benchmark, params, model), own in full.groupby(["benchmark", "params", "model"]):
        cells = own.set_index(["token_budget", "group_size"])
        shares = [cells.loc[(budget, 1), "pass_at_1"] for budget in BUDGETS]
        group = cells.loc[(BUDGETS[-1], GROUP)]
        shares += [group["accuracy"], group["pass_at_g"]]
        shown = " | ".join(f"{share:.2f}" for share in shares)
        rows.append(f"| {model} | {params:,} | {benchmark} | {shown} |")
    return rows


def main() -> None:
    if len(sys.argv) != 2:
        sys.exit("usage: python -m actors.tiny.card FOLDER-OF-A-RUN")
    scenarios = Store(sys.argv[1]).read_table("scenarios.parquet").to_pandas()
    print(HEADER, "|" + " --- |" * (HEADER.count("|") - 1), *card_rows(scenarios), sep="\n")


if __name__ == "__main__":
    main()
