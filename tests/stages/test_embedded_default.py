"""`python -m raysweep` without an argument: the whole embedded study, and what it must be able to show.

The one test that runs the default sweep as it is; some two minutes on two cores.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from support.tiny_models import MODELS

from actors.tiny.card import card_rows

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
def scenarios(out) -> list[dict[str, Any]]:
    return pq.read_table(out / "embedded" / "scenarios.parquet").to_pylist()


def pass_at_1(scenarios: list[dict[str, Any]], benchmark: str) -> list[dict[int, float]]:
    """Pass@1 with full cache at 16 bit by token budget, for each model, smallest first."""
    by_size: dict[int, dict[int, float]] = {}
    for row in scenarios:
        axes = (row["kv_policy"], row["weight_bits"], row["group_size"], row["benchmark"])
        if axes == ("full", 16, 1, benchmark):
            by_size.setdefault(row["params"], {})[row["token_budget"]] = row["pass_at_1"]
    return [by_budget for _, by_budget in sorted(by_size.items())]


def test_it_is_whole_and_a_second_run_generates_nothing(out, scenarios):
    assert len(scenarios) == 4 * 3 * 2 * 2 * 7 * 6
    assert all(row["complete"] for row in scenarios)
    summary = json.loads((out / "embedded" / "summary.json").read_text())
    assert summary["outcomes"]["error"] == summary["shards_missing"] == 0
    assert summary["tokens_generated"] < summary["tokens_one_run_per_scenario"] / 8
    assert "nothing to do" in default_run(out)


@pytest.mark.parametrize("benchmark", ["chain", "facts"])
def test_accuracy_rises_with_model_size(scenarios, benchmark):
    by_size = [by_budget[256] for by_budget in pass_at_1(scenarios, benchmark)]
    assert by_size == sorted(by_size)
    assert by_size[-1] > by_size[0] + 0.3


def test_a_longer_budget_helps_reasoning_and_not_knowledge(scenarios):
    for by_budget in pass_at_1(scenarios, "chain"):
        assert by_budget[16] < by_budget[64] < by_budget[256]
    for by_budget in pass_at_1(scenarios, "facts"):
        assert abs(by_budget[256] - by_budget[16]) < 0.03


@pytest.mark.parametrize("benchmark", ["chain", "facts"])
def test_the_middle_sizes_have_headroom_at_the_middle_budgets(scenarios, benchmark):
    for by_budget in pass_at_1(scenarios, benchmark)[1:3]:
        assert 0.2 < by_budget[96] < 0.95
        assert 0.2 < by_budget[128] < 0.95


def test_several_samples_find_visibly_more_than_one(scenarios):
    smaller = sorted({row["params"] for row in scenarios})[:3]
    at = {"kv_policy": "full", "weight_bits": 16, "group_size": 8, "token_budget": 256}
    for row in scenarios:
        if at.items() <= row.items() and row["params"] in smaller:
            assert row["pass_at_g"] > row["pass_at_1"] + 0.05, (row["model"], row["benchmark"])


def mean_pass_at_1(scenarios: list[dict[str, Any]], **at: Any) -> float:
    """Over the scenarios with these values, a sample alone with the largest token budget."""
    at |= {"group_size": 1, "token_budget": 256}
    scores = [row["pass_at_1"] for row in scenarios if at.items() <= row.items()]
    return sum(scores) / len(scores)


def test_a_window_costs_reasoning_accuracy_and_no_knowledge(scenarios):
    loss = {
        benchmark: mean_pass_at_1(scenarios, benchmark=benchmark, kv_policy="full")
        - mean_pass_at_1(scenarios, benchmark=benchmark, kv_policy="streaming_llm-128")
        for benchmark in ("chain", "facts")
    }
    assert loss["chain"] > 0.1
    assert abs(loss["facts"]) < 0.02


@pytest.mark.parametrize("benchmark", ["chain", "facts"])
def test_8_bits_cost_nothing_and_4_bits_something(scenarios, benchmark):
    by_bits = {
        bits: mean_pass_at_1(scenarios, benchmark=benchmark, kv_policy="full", weight_bits=bits)
        for bits in (16, 8, 4)
    }
    assert abs(by_bits[16] - by_bits[8]) < 0.02
    assert 0.01 < by_bits[16] - by_bits[4] < 0.15


def test_the_model_cards_figures_are_those_of_a_run(scenarios):
    card = (MODELS / "README.md").read_text()
    for row in card_rows(scenarios):
        name, figures = row.rsplit("| ", 6)[0], [float(f) for f in re.findall(r"\d\.\d\d", row)]
        stated = next(line for line in card.splitlines() if line.startswith(name))
        # Another processor rounds otherwise, and a sampled trace may then part ways.
        for figure, written in zip(figures, re.findall(r"\d\.\d\d", stated), strict=True):
            assert abs(figure - float(written)) < 0.05, row
