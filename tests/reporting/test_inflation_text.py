"""How long models think, as sentences, a table of the page and a figure."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from support import result_tables

from raysweep.reporting.appearance import models
from raysweep.reporting.figures import draw
from raysweep.reporting.findings import find
from raysweep.reporting.inflation_text import inflation_notes, inflations
from raysweep.reporting.page import render
from raysweep.storage.comparison_schemas import INFLATION

RESULTS = result_tables.results()


def row(value: str, ratio: float | None, half: float, differs: bool, **changes: Any) -> dict:
    """A row of summary.json whose interval is `half` wide on both sides."""
    policy = value.startswith("streaming")
    endings = {"closed": 1.0, "ended": 0.0, "looped": 0.0, "cut": 0.0, "given_up": 0.0}
    return {
        "benchmark": "chain",
        "axis": "kv_policy" if policy else "precision",
        "value": value,
        "reference": "full" if policy else "bf16",
        "models": 4,
        "token_budget": 256,
        "n_questions": 48,
        "ratio": ratio,
        "ratio_lo": None if ratio is None else ratio - half,
        "ratio_hi": None if ratio is None else ratio + half,
        "differs": differs,
        "compared": 4,
        **endings,
        **{f"reference_{name}": share for name, share in endings.items()},
        **changes,
    }


ROWS = [
    row("gptq8", 1.004, 0.01, False),
    row("gptq4", 1.072, 0.03, True),
    row("gptq3", 1.21, 0.05, True, looped=0.04, cut=0.01, reference_ended=0.003),
    row("streaming_llm-64", 0.836, 0.05, True, ended=0.02),
    row("streaming_llm-256", 1.0, 0.0, False),
]


def told(rows: list[dict], **summary: Any) -> list[str]:
    results = replace(RESULTS.of("chain"), summary={"inflation": rows, **summary})
    return list(inflation_notes(results))


def test_a_sentence_names_what_makes_models_think_longer_the_longest_first():
    lengths = told(ROWS)[0]
    assert lengths == (
        "Token inflation (thinking tokens for the same questions, up to 256 per trace, with 95% intervals; "
        "5 are judged together): longer: gptq3 against bf16 +21.0% (+16.0% to +26.0%), gptq4 against bf16 "
        "+7.2% (+4.2% to +10.2%); "
        "shorter: streaming_llm-64 against full −16.4% (−21.4% to −11.4%); "
        "not decided by these data: gptq8 against bf16 +0.4% (−0.6% to +1.4%); "
        "exactly as long: streaming_llm-256 against full."
    )


def test_a_difference_that_is_not_decided_is_never_called_longer_however_large():
    (lengths, _) = told([row("gptq4", 1.3, 0.2, False)])
    assert "not decided by these data: gptq4" in lengths and "longer" not in lengths


def test_a_sentence_says_how_traces_end_and_what_the_ratios_are_of():
    endings = told(ROWS)[1]
    assert endings == (
        "With the most bits and the full cache, 0.3% of the traces do not close their thinking, and most "
        "often with gptq3: 4.0% repeated themselves endlessly, 1.0% were cut at the largest budget. Up to "
        "5.0% of the traces of one side would have gone on, so the ratios are of the tokens that were spent."
    )
    assert told(ROWS[:2])[1] == "Every trace closed its thinking by itself."


def test_cut_traces_of_the_reference_are_said_too():
    (_, endings) = told([row("gptq4", 0.9, 0.05, True, reference_cut=0.3, cut=0.1)])
    assert "30.0% of the traces do not close their thinking." in endings
    assert "Up to 30.0% of the traces of one side would have gone on" in endings


def test_where_an_extension_fills_every_budget_it_is_said_that_nobody_asked():
    (note,) = told([], thinking_fills_budgets=True)
    assert note.startswith("Token inflation is not asked: the forcing extends every trace")
    assert told([]) == []  # an older run


def test_the_findings_of_a_benchmark_hold_its_own_sentences_alone():
    summary = {**RESULTS.summary, "inflation": ROWS}
    notes = {f.benchmark: f.notes for f in find(replace(RESULTS, summary=summary))}
    assert sum("Token inflation" in note for note in notes["chain"]) == 1
    assert not any("Token inflation" in note for note in notes["facts"])


def test_the_marks_of_the_pages_table_lie_on_one_axis():
    table = inflations({"inflation": [*ROWS, row("awq4", None, 0, False)]})
    low, high = 0.786, 1.26  # the lowest and the highest bound of all
    for one, source in zip(table.rows[:-1], ROWS, strict=True):
        ends = (source["ratio_lo"], source["ratio"], source["ratio_hi"])
        places = [100 * (end - low) / (high - low) for end in ends]
        assert one.marks == pytest.approx(places, abs=0.01)
    assert table.no_change == pytest.approx(100 * (1 - low) / (high - low), abs=0.01)
    assert (table.rows[-1].marks, table.rows[-1].verdict) == ((), "unknown")
    assert table.rows[2].endings[1] == ("4.0%", "0.0%")


def test_the_page_has_a_table_only_where_lengths_are_known():
    page = render(replace(RESULTS, summary={**RESULTS.summary, "inflation": ROWS}))
    assert "How long models think" in page and "+21.0%" in page
    assert "How long models think" not in render(RESULTS)


RATIOS = {"full": 1.0, "streaming_llm-64": 0.7, "streaming_llm-128": 0.9}


def lengths_table(policies: tuple[str, ...] = tuple(RATIOS)) -> pd.DataFrame:
    """inflation.parquet of the synthetic run's engines with these policies."""
    engines = RESULTS.scenarios.drop_duplicates(["benchmark", "engine_id"])
    rows = [
        {
            **{name: engine[name] for name in INFLATION.names if name in engine},
            "reference_id": engine["engine_id"].replace(engine["kv_policy"], "full"),
            "ratio": RATIOS[engine["kv_policy"]],
            "ratio_lo": RATIOS[engine["kv_policy"]] - 0.02,
            "ratio_hi": RATIOS[engine["kv_policy"]] + 0.02,
            "token_budget": 256,
            **{"ended": 0.02, "looped": 1 - RATIOS[engine["kv_policy"]], "cut": 0, "given_up": 0},
        }
        for engine in engines.to_dict("records")
        if engine["kv_policy"] in policies
    ]
    return pd.DataFrame(rows)


def drawn(table: pd.DataFrame) -> Figure | None:
    return draw("inflation", replace(RESULTS, inflation=table).of("chain"), 1)


def test_the_figure_has_two_panels_for_each_model_with_a_row_for_each_choice():
    figure = drawn(lengths_table())
    assert figure is not None
    titles = [axes.get_title(loc="left") for axes in figure.axes]
    assert [title for title in titles if title] == list(models(RESULTS.scenarios))
    above = figure.axes[0]
    points = [line.get_xydata() for line in above.lines if line.get_marker() == "o"]
    ratios = [float(np.asarray(point)[0, 0]) for point in points]
    assert [label.get_text() for label in above.get_yticklabels()][1:] == list(RATIOS)[1:]
    assert ratios == list(RATIOS.values())


def test_the_axis_of_endings_has_room_for_the_longest_bar_of_any_model():
    figure = drawn(lengths_table())
    assert figure is not None
    below = [axes for axes in figure.axes if "do not close" in axes.get_xlabel()]
    assert all(axes.get_xlim()[1] >= 0.32 for axes in below)


def test_no_figure_is_drawn_of_references_alone():
    assert drawn(lengths_table(("full",))) is None
    assert drawn(INFLATION.empty_table().to_pandas()) is None
