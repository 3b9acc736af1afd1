"""The report says how far backends differ, and no more than the intervals allow."""

from dataclasses import replace

import pandas as pd
import pytest
from support import result_tables

from raysweep.reporting.controls import comparisons, overview
from raysweep.reporting.page import render
from raysweep.storage.comparison_schemas import CONTROLS


def controls(*intervals: tuple[float, float], **changes) -> pd.DataFrame:
    """A table with one control per interval of the difference, at a short and at the largest budget."""
    rows = [
        {
            "engine_id": f"m{i}.bf16.full",
            "control_id": f"m{i}.bf16.full.control",
            "backend": "vllm",
            "control_backend": "torch",
            "model": f"m{i}",
            "weight_method": "bf16",
            "weight_bits": 16,
            "weight_group_size": 0,
            "weight_symmetric": True,
            "weight_act_order": False,
            "benchmark": "chain",
            "token_budget": token_budget,
            "group_size": group_size,
            "n_questions": 48,
            "complete": True,
            "accuracy": 0.5,
            "control_accuracy": 0.5 - (low + high) / 2,
            "difference": (low + high) / 2,
            "difference_lo": low,
            "difference_hi": high,
            **changes,
        }
        for i, (low, high) in enumerate(intervals)
        for token_budget in (16, 256)
        for group_size in (1, 4)
    ]
    return result_tables.typed(pd.DataFrame(rows, columns=CONTROLS.names), CONTROLS)


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (-0.01, 0.03, "cannot be told apart"),
        (0.0, 0.03, "cannot be told apart"),
        (0.0, 0.0, "the same accuracy on every question"),
        (0.01, 0.03, "vllm is better, by 1.0 to 3.0 points"),
        (-0.03, -0.01, "torch is better, by 1.0 to 3.0 points"),
    ],
)
def test_a_verdict_follows_from_the_interval(low: float, high: float, verdict: str):
    (found,) = comparisons(controls((low, high)))
    assert found.verdict == verdict
    assert found.differs == ("better" in verdict)


def test_samples_that_are_missing_are_said():
    (found,) = comparisons(controls((-0.01, 0.03), complete=False))
    assert found.verdict == "cannot be told apart (samples are missing)"


def test_the_overview_says_how_large_a_difference_may_have_stayed_unseen_and_names_those_that_differ():
    found = comparisons(controls((-0.01, 0.03), (-0.05, 0.02), (0.01, 0.04)))
    first, *named = overview(found)
    assert first == (
        "full on vllm and on torch: 2 of 3 comparisons cannot be told apart, which leaves room for up to "
        "5.0 points; 1 of them differs, and about one in 20 would by chance."
    )
    assert named == ["m2 bf16 on chain: vllm is better, by 1.0 to 4.0 points."]
    assert overview([]) == []


def test_scores_that_agree_on_every_question_are_not_taken_for_equal_backends():
    (said,) = overview(comparisons(controls((0.0, 0.0))))
    assert said == "full on vllm and on torch: 1 of 1 comparison cannot be told apart."


def test_the_page_has_a_table_of_them_only_where_there_are_controls():
    tables = result_tables.results()
    assert "How far the backends differ" not in render(tables)
    page = render(replace(tables, controls=controls((-0.01, 0.03))))
    assert page.count("How far the backends differ") == 2  # the title, and the name of the table
    assert '<td class="number">1.0</td><td class="number">−1.0 to 3.0</td>' in page
    assert "cannot be told apart" in page
