"""A run in which many answers are cut off or unanswered says so, with the likely reasons."""

from dataclasses import replace

import pandas as pd
import pytest
from support import result_tables

from raysweep.reporting.doubts import doubts
from raysweep.reporting.page import render

LARGEST = max(result_tables.TOKEN_BUDGETS)


def scenarios(**shares: float) -> pd.DataFrame:
    """The synthetic scenarios with other shares at the largest budget."""
    table = result_tables.scenarios().assign(unanswered=0.0, cut_off=0.0)
    for outcome, share in shares.items():
        table.loc[table.token_budget == LARGEST, outcome] = share
    return table


def test_a_run_whose_answers_count_has_no_doubts():
    assert doubts(scenarios(unanswered=0.04, cut_off=0.049)) == []


@pytest.mark.parametrize(
    ("outcome", "words", "reason"),
    [
        ("cut_off", "30.0% of", "eos_token_id in the model's generation_config.json"),
        ("unanswered", "30.0% of", "the grader finds no answer in the text"),
    ],
)
def test_many_answers_that_do_not_count_are_named_with_the_likely_reasons(outcome, words, reason):
    found = doubts(scenarios(**{outcome: 0.3}))
    models = result_tables.scenarios().model.nunique()
    assert len(found) == models * len(result_tables.BENCHMARKS)
    assert all(one.startswith(words) and reason in one for one in found)
    assert f"answers on chain are {outcome.replace('_', ' ')}" in found[0]


def test_small_budgets_leave_no_doubt():
    table = scenarios()
    table.loc[table.token_budget < LARGEST, "unanswered"] = 0.9
    assert doubts(table) == []


def test_no_scenario_is_no_doubt():
    assert doubts(scenarios().head(0)) == []


@pytest.mark.parametrize("share", [0.0, 0.3])
def test_the_page_says_so_at_its_top_and_only_then(share: float):
    page = render(replace(result_tables.results(), scenarios=scenarios(cut_off=share)))
    assert ("Many answers do not count" in page) == (share > 0)
