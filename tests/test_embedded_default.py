"""`python -m raysweep` without an argument: the whole embedded study, and what it must be able to show.

The one test that runs the default sweep as it is; some two minutes on two cores.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from actors.tiny.card import card_rows
from tests.tiny_models import MODELS

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]


def default_run(out: Path) -> str:
    command = [sys.executable, "-m", "raysweep", f"out={out}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    default_run(folder)
    return folder


@pytest.fixture(scope="module")
def scenarios(out) -> pd.DataFrame:
    return pd.read_parquet(out / "embedded" / "scenarios.parquet")


def pass_at_1(scenarios: pd.DataFrame, benchmark: str) -> pd.DataFrame:
    """Full-cache pass@1 by model size (rows, in parameters) and token budget (columns)."""
    rows = scenarios.query("kv_policy == 'full' and group_size == 1 and benchmark == @benchmark")
    return rows.pivot(index="params", columns="token_budget", values="pass_at_1")


def test_it_is_whole_and_a_second_run_generates_nothing(out, scenarios):
    assert len(scenarios) == 4 * 3 * 2 * 7 * 5 and scenarios["complete"].to_numpy().all()
    summary = json.loads((out / "embedded" / "summary.json").read_text())
    assert summary["outcomes"]["error"] == summary["shards_missing"] == 0
    assert summary["tokens_generated"] < summary["tokens_one_run_per_scenario"] / 8
    assert "nothing to do" in default_run(out)


def test_accuracy_rises_with_model_size(scenarios):
    for benchmark in ("chain", "facts"):
        by_size = pass_at_1(scenarios, benchmark)[256].tolist()
        assert by_size == sorted(by_size), benchmark
        assert by_size[-1] > by_size[0] + 0.3, benchmark


def test_a_longer_budget_helps_reasoning_and_not_knowledge(scenarios):
    for _, row in pass_at_1(scenarios, "chain").iterrows():
        assert row[16] < row[64] < row[256]
    for _, row in pass_at_1(scenarios, "facts").iterrows():
        assert abs(row[256] - row[16]) < 0.03


def test_the_middle_sizes_have_headroom_at_the_middle_budgets(scenarios):
    for benchmark in ("chain", "facts"):
        middle = pass_at_1(scenarios, benchmark).iloc[1:3][[96, 128]]
        assert middle.min().min() > 0.2, benchmark
        assert middle.max().max() < 0.95, benchmark


def test_several_samples_find_visibly_more_than_one(scenarios):
    rows = scenarios.query("kv_policy == 'full' and group_size == 8 and token_budget == 256")
    sizes = sorted(rows["params"].unique())
    for row in rows[rows["params"].isin(sizes[:3])].itertuples():
        assert row.pass_at_g > row.pass_at_1 + 0.05, (row.model, row.benchmark)


def test_a_small_window_costs_reasoning_accuracy(scenarios):
    rows = scenarios.query("group_size == 1 and token_budget == 256 and benchmark == 'chain'")
    means = rows.groupby("kv_policy")["pass_at_1"].mean()
    assert means["streaming_llm-64"] < means["streaming_llm-128"] < means["full"]


def test_the_model_cards_figures_are_those_of_a_run(scenarios):
    card = (MODELS / "README.md").read_text()
    for row in card_rows(scenarios):
        name, figures = row.rsplit("| ", 7)[0], [float(f) for f in re.findall(r"\d\.\d\d", row)]
        stated = next(line for line in card.splitlines() if line.startswith(name))
        # Another processor rounds otherwise, and a sampled trace may then part ways.
        for figure, written in zip(figures, re.findall(r"\d\.\d\d", stated), strict=True):
            assert abs(figure - float(written)) < 0.05, row
