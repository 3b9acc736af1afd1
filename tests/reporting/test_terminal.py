"""Tables in a terminal of 80 columns: at most 15 rows for each benchmark, none of them broken."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from rich.console import Console
from support import result_tables
from support.shipped_sweeps import SWEEPS, models_of, policies_of, precisions_of

from raysweep.progress.status import EngineStatus, engine_lines
from raysweep.reporting.results import points_of, where
from raysweep.reporting.terminal import MOST_ROWS, REST, cut, frontier_table, spread
from raysweep.stages.context import say

WIDTH = 80


def printed(table: object) -> list[str]:
    output = io.StringIO()
    Console(file=output, width=WIDTH).print(table)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def long_frontier(count: int) -> pd.DataFrame:
    """A frontier of many points with the widest numbers."""
    one = where(result_tables.frontier(result_tables.scenarios()), benchmark="chain", batch_size=1)
    rows = pd.concat([one.head(1)] * count, ignore_index=True)
    expected = np.linspace(0.1, 1.0, count)
    return rows.assign(
        memory_bytes=np.linspace(100.4e9, 999.4e9, count),
        token_budget=30_000,
        group_size=16,
        expected=expected,
        expected_lo=expected - 0.05,
        expected_hi=1.0,
    )


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_no_row_of_a_frontier_breaks_at_80_columns_and_no_two_names_look_alike(sweep: Path):
    model = max(models_of(sweep), key=len)
    precision = max(precisions_of(sweep), key=len)
    bits = precision.removeprefix("gptq").split("-")[0]
    weights = {"weight_method": "bf16", "weight_bits": 16, "weight_group_size": 0}
    if precision != "bf16":
        size = int(precision.split("-g")[1]) if "-g" in precision else 128
        weights = {"weight_method": "gptq", "weight_bits": int(bits), "weight_group_size": size}
    names = policies_of(sweep)
    for part in (names[:MOST_ROWS], names[MOST_ROWS:]):
        if not part:
            continue
        frontier = long_frontier(len(part)).assign(model=model, kv_policy=list(part), **weights)
        lines = printed(frontier_table(frontier, "chain", 1, 375))
        assert max(map(len, lines)) <= WIDTH
        rows = [line for line in lines if "30,000" in line]
        assert len(rows) == len(part)
        shown = [row.split(maxsplit=6)[6] for row in rows]
        assert len(set(shown)) == len(shown)
        whole = [f"{model} {precision} {policy}" for policy in part]
        assert [name for name in shown if "…" not in name] == [
            name for name, row in zip(whole, shown, strict=True) if "…" not in row
        ]


def test_a_long_frontier_is_told_in_15_rows_of_about_equal_gains_and_the_rest_is_named():
    frontier = long_frontier(60)
    table = frontier_table(frontier, "chain", 1, 375)
    assert table.row_count == MOST_ROWS
    assert f"15 of 60 that gain about equally, and {REST}" in str(table.title)
    points = points_of(frontier)
    shown = spread(points)
    assert (shown[0], shown[-1]) == (points[0], points[-1])
    gains = np.diff([point.expected for point in shown])
    assert gains.max() < 1.5 * gains.mean()
    assert REST not in str(frontier_table(long_frontier(15), "chain", 1, 375).title)


def test_a_long_name_loses_its_middle():
    assert cut("abcdefghij", 10) == "abcdefghij"
    assert cut("abcdefghij", 7) == "abc…hij"
    assert len(cut("abcdefghij", 6)) == 6


@pytest.mark.parametrize("sweep", SWEEPS, ids=lambda path: path.stem)
def test_no_row_of_the_status_breaks_at_80_columns(sweep: Path):
    longest = [max(of(sweep), key=len) for of in (models_of, precisions_of, policies_of)]
    engines = [EngineStatus(".".join(longest), "torch", 12, 8 * 180, 3)] * 40
    output = io.StringIO()
    for label, text in engine_lines(engines, counted=True):
        say(Console(file=output, width=WIDTH), label, text, "bold")
    lines = output.getvalue().splitlines()
    assert len(lines) <= MOST_ROWS
    assert max(map(len, lines)) <= WIDTH
    assert "progress.json" in lines[-1]
