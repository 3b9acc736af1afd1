"""The study's findings in the terminal and on the page: numbers are those of findings.parquet."""

import io
from dataclasses import replace

import pytest
from rich.console import Console
from support import result_tables

from raysweep.analysis.threshold import SizeAdvantage, Threshold
from raysweep.analysis.verdicts import FINDINGS
from raysweep.reducing.finding_table import finding_table
from raysweep.reporting.page import render
from raysweep.reporting.results import Results
from raysweep.reporting.verdict_table import verdict_table, verdicts
from raysweep.system.quantities import tied

DECIDED = Threshold(True, "so", 416_000.0, 208_000.0, 788_000.0, 0.01)
OPEN = Threshold(
    False,
    "no change is significant",
    p_value=0.3,
    advantages=(
        SizeAdvantage(100, 4, 0.05, -0.01, 0.11),
        SizeAdvantage(200, 4, -0.031, -0.09, 0.028),
    ),
)


@pytest.fixture(scope="module")
def results() -> Results:
    plain = result_tables.results()
    thresholds = {("chain", 1): DECIDED, ("facts", 1): OPEN}
    return replace(plain, findings=finding_table(plain.candidates, thresholds).to_pandas())


def test_there_is_a_row_for_each_finding_with_its_verdict(results):
    for benchmark in ("chain", "facts"):
        rows = results.of(benchmark).findings
        assert rows.finding.tolist() == list(FINDINGS)
        asked = rows[~rows.verdict.isin(["not asked"])]
        assert set(asked.finding) == {"scale", "votes", "cache"}
        assert (asked.effect_lo <= asked.effect).all() and (asked.effect <= asked.effect_hi).all()
        assert (rows[rows.verdict == "not asked"].reason.str.len() > 10).all()


def test_a_decided_threshold_is_a_size_and_an_open_one_shows_both_ends(results):
    first, other = (verdicts(results, name, 1)[0] for name in ("chain", "facts"))
    assert (first.verdict, other.verdict) == ("holds", "not decided")
    (effect,) = first.effects
    assert (effect.size, effect.interval) == ("416 kB", "208 kB to 788 kB")
    assert [(one.size, one.interval, one.of) for one in other.effects] == [
        ("5.0 points", "−1.0 to 11.0", "more weights less more tokens, smallest size"),
        ("−3.1 points", "−9.0 to 2.8", "more weights less more tokens, largest size"),
        ("", "", "no change is significant"),
    ]


def test_the_terminal_table_fits_in_a_hundred_columns_and_keeps_its_numbers(results):
    output = io.StringIO()
    Console(file=output, width=100).print(verdict_table(results, "chain", 1))
    text = output.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    for said in verdicts(results, "chain", 1):
        assert said.verdict in text
        for effect in said.effects:
            assert effect.size in text and effect.interval in text


def test_the_page_has_what_the_terminal_has(results):
    page = render(results)
    assert "The study's findings, put to these data" in page
    for name in ("chain", "facts"):
        for said in verdicts(results, name, 1):
            assert said.statement in page
            assert all(
                effect.of in page and tied(effect.interval) in page for effect in said.effects
            )
    assert 'class="verdicts"' not in render(result_tables.results())


def test_effects_say_of_how_many_comparisons_they_are(results):
    votes = verdicts(results, "chain", 1)[2]
    (number,) = results.of("chain").findings.query("finding == 'votes'").comparisons
    assert number > 5
    assert votes.effects[0].of.endswith(f"(of {number} comparisons)")
