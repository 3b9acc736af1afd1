"""The page in a headless Chromium: it draws, and recommends what Python recommends."""

import json
from dataclasses import replace

import numpy as np
import pytest
from support.browser import Browser, Page
from support.report_page import (
    CHAIN,
    KEY,
    RESULTS,
    choose,
    frontier_of,
    frontier_texts,
    key_of,
    texts,
)

from raysweep.analysis.candidates import Candidate, Candidates
from raysweep.analysis.recommend import Neighbour, recommend
from raysweep.analysis.uncertainty import bootstrap_weights
from raysweep.reducing.frontier_tables import frontier_tables
from raysweep.reporting.page import render
from raysweep.reporting.page_data import SLIDER_BATCHES, page_data
from raysweep.reporting.recommendation_text import (
    each_is_worse_in_words,
    indistinguishable_in_words,
    measured_in_words,
)
from raysweep.reporting.results import where
from raysweep.system.quantities import human_bytes, interval, percent


def test_it_draws_from_a_file_without_requests_and_without_console_messages(page: Page):
    assert page.evaluate("location.protocol") == "file:"
    assert page.evaluate("document.body.dataset.error ?? null") is None
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    drawn = "Object.keys(CHARTS).filter((name) => byId(`${name}-chart`).querySelector('svg'))"
    everything = ["memory", "tokens", "groups", "votes", "batches", "kv", "threshold", "size"]
    assert page.evaluate(drawn) == [*everything, "budget", "group", "policy"]
    assert page.troubles == []


def test_a_request_would_be_noticed(browser: Browser):
    asks = "<script>fetch('http://127.0.0.1:9/').catch(() => {})</script></body>"
    page = browser.open(render(RESULTS).replace("</body>", asks), name="asks")
    page.until("true")
    assert page.troubles


@pytest.mark.parametrize("place", range(len(SLIDER_BATCHES)))
def test_the_batch_slider_moves_the_frontier_to_where_python_has_it(page: Page, place: int):
    choose(page, batch_size=place)
    batch_size = SLIDER_BATCHES[place]
    assert page.evaluate("document.getElementById('batch-value').textContent") == str(batch_size)
    assert frontier_of(page) == frontier_texts(CHAIN, batch_size, RESULTS.of("chain"))
    assert page.evaluate("byId('memory-chart').chart.stops.length") == len(frontier_of(page))


def test_what_is_expected_is_read_from_the_frontiers_table_where_it_has_the_batch_size():
    changed = replace(RESULTS, frontier=RESULTS.frontier.assign(expected=0.25))
    expected = page_data(changed)["expected"]["chain"]
    for batch_size, rows in expected.items():
        own = where(RESULTS.of("chain").frontier, batch_size=batch_size)
        is_read = batch_size in RESULTS.batch_sizes
        assert ({row[1] for row in rows} == {0.25}) == is_read
        if is_read:
            assert len(rows) == len(own)


def test_expected_accuracies_are_shown_though_the_page_would_round_another_frontier(
    browser: Browser,
):
    """As where estimates differ in their last bits between two machines."""
    frontier = RESULTS.frontier
    one = where(frontier, benchmark="chain", batch_size=1).index[1]
    page = browser.open(render(replace(RESULTS, frontier=frontier.drop(one))), name="rounded")
    page.until("page.view")
    shown = frontier_of(page)
    assert len(shown) == len(where(frontier, benchmark="chain", batch_size=1)) - 1
    assert all("–" in row[7] and row[7] != "–" for row in shown)


def test_what_was_measured_on_fewer_questions_is_shown_but_not_on_the_frontier(browser: Browser):
    rows, best = RESULTS.scenarios.copy(), where(RESULTS.frontier, benchmark="facts", batch_size=1)
    last = best.iloc[-1]
    same = [(rows[name] == last[name]) for name in ("benchmark", *KEY)]
    rows.loc[np.logical_and.reduce(same), "estimate"] = np.nan
    facts = RESULTS.candidates["facts"]
    scores = facts.scores.copy()
    place = [key_of(one) for one in facts.members].index(tuple(last[name] for name in KEY))
    scores[:20, place] = np.nan
    compared = Candidates(facts.members, scores).comparable
    weights = {"facts": bootstrap_weights(40, 20, 1)}
    points, _ = frontier_tables({"facts": compared}, RESULTS.batch_sizes, weights)
    own = replace(
        RESULTS.of("facts"),
        scenarios=where(rows, benchmark="facts").reset_index(drop=True),
        frontier=points.to_pandas(),
        candidates={"facts": compared},
    )
    page = browser.open(render(own), name="unfinished")
    page.until("page.view")
    assert page.evaluate("page.view.isOfAll")
    assert frontier_of(page) == frontier_texts(compared, 1, own)
    assert page.evaluate(f"page.view.rows[{place}].estimate") is None
    assert page.evaluate("page.view.rows.length") == len(facts)
    memory = float(compared.device_bytes(1).max())
    answer = page.evaluate(f"{ASK}([[{memory}, 1]])")[0]
    found = recommend(compared, memory, 1)
    assert (answer["best"], answer["considered"]) == (key(found.best), len(compared))


def test_filters_and_the_benchmark_choose_who_competes(page: Page):
    choose(page, benchmark=1, model=["tiny-50k", "tiny-394k"], group=["1", "4"])
    facts = RESULTS.candidates["facts"]
    chosen = [
        index
        for index, one in enumerate(facts.configurations)
        if one.model in ("tiny-50k", "tiny-394k") and one.group_size in (1, 4)
    ]
    expected = frontier_texts(facts, 1, RESULTS.of("facts"), chosen)
    assert frontier_of(page) == expected
    assert texts(page, "#status") == [f"{len(chosen)} of 375 scenarios shown."]


# ---- the recommendation ----
ASK = """((cases) => cases.map(([memory, batch]) => {
  const found = recommendation(page.view.rows, page.view.advice, memory, batch);
  const key = (row) => row && [row.id, row.token_budget, row.group_size];
  const beside = (one) => one && { row: key(one.row), ahead: one.ahead, low: one.low, high: one.high };
  return found.best
    ? { ...found, best: key(found.best), alternatives: found.alternatives.map(key),
        less: beside(found.less), more: beside(found.more) }
    : { smallest: key(found.smallest) };
}))"""


def key(candidate: Candidate) -> list:
    return list(key_of(candidate))


def beside(one: Neighbour | None) -> dict | None:
    """A neighbour as the page has it: how far the more expensive of the two is ahead."""
    if one is None:
        return None
    numbers = {"ahead": one.gain, "low": one.gain_lo, "high": one.gain_hi}
    return {"row": key(one.candidate), **{name: close(value) for name, value in numbers.items()}}


def close(value: float):
    """Equal to the six digits that the page has."""
    return pytest.approx(value, abs=1e-6)


def test_the_page_recommends_what_python_recommends_at_many_memories_and_batch_sizes(page: Page):
    rng = np.random.default_rng(0)
    cases = []
    for batch_size in SLIDER_BATCHES:
        memory = CHAIN.device_bytes(batch_size)
        exact = rng.choice(memory, 12).tolist()
        between = (memory.min() * (2 * memory.max() / memory.min()) ** rng.random(12)).tolist()
        cases += [[value, batch_size] for value in (*exact, *between, float(memory.min()))]
    said = page.evaluate(f"{ASK}({json.dumps(cases)})")
    assert len(said) == 225
    for answer, (memory_bytes, batch_size) in zip(said, cases, strict=True):
        found = recommend(CHAIN, memory_bytes, batch_size)
        assert answer == {
            "best": key(found.best),
            "memory": found.best_memory_bytes,
            "accuracy": close(found.accuracy),
            "low": close(found.accuracy_lo),
            "high": close(found.accuracy_hi),
            "measured": close(found.measured),
            "considered": found.considered,
            "stopped": found.stopped,
            "beyondUnknown": found.beyond_unknown,
            "compared": found.compared,
            "alternatives": [key(one.candidate) for one in found.alternatives],
            "less": beside(found.less),
            "more": beside(found.more),
        }


@pytest.mark.parametrize(("slider", "place"), [(0, 0), (250, 3), (500, 0), (618, 8), (1000, 5)])
def test_the_memory_slider_answers_in_words(page: Page, slider: int, place: int):
    choose(page, batch_size=place)
    choose(page, memory=slider)
    found = recommend(CHAIN, page.evaluate("page.view.memory"), SLIDER_BATCHES[place])
    (best,) = texts(page, "#answer .best")
    (expected,) = texts(page, "#answer .expected")
    assert best == found.best.configuration.in_words()
    bounds = interval(found.accuracy_lo, found.accuracy_hi)
    assert (
        expected
        == f"{percent(found.accuracy)} expected accuracy on new questions, 95% interval {bounds}"
    )
    measured = measured_in_words(found.measured, found.considered)
    assert texts(page, "#answer .hint") == [
        f"Takes {human_bytes(found.best_memory_bytes)}. {measured.capitalize()}."
    ]
    if found.alternatives:
        said = indistinguishable_in_words(len(found.alternatives), found.compared)
        assert said in texts(page, "#answer b")
    elif found.compared:
        (answer,) = texts(page, "#answer")
        assert each_is_worse_in_words(found.compared) in answer
    (shown,) = texts(page, "#ask-caption")
    assert human_bytes(found.memory_bytes) in shown


def test_a_memory_can_be_typed_and_nonsense_is_marked_and_not_used(page: Page):
    choose(page, memory_text="0.6 MB")
    assert page.evaluate("page.view.memory") == 600_000
    choose(page, memory_text="much")
    assert page.evaluate("page.view.memory") == 600_000
    assert page.evaluate("form.elements.memory_text.getAttribute('aria-invalid')") == "true"
    typed = ["24 GB", "24", "1.5e3 mb", "80gb", ".5TB", "12 B", "x", "-1", ""]
    values = page.evaluate(f"{json.dumps(typed)}.map((text) => parseBytes(text) || null)")
    assert values == [24e9, 24e9, 1.5e9, 80e9, 0.5e12, 12, None, None, None]


def test_where_nothing_fits_the_smallest_is_named(page: Page):
    (answer,) = page.evaluate(f"{ASK}([[10, 4]])")
    memory = CHAIN.device_bytes(4)
    assert answer == {"smallest": key(CHAIN.members[int(memory.argmin())])}


def test_the_caption_says_what_the_threshold_is_or_why_it_is_undecided(page: Page):
    (said,) = texts(page, "#threshold-caption")
    assert said == (
        "chain, batch size 1: the scale threshold is 416 kB of weights (95% interval 208 kB to 788 kB). "
        "Below it, memory is better spent on more weights, above it on more tokens."
    )
    choose(page, benchmark=1)
    (said,) = texts(page, "#threshold-caption")
    assert said == (
        "facts, batch size 1: these data do not decide the scale threshold, because the difference between "
        "more weights and more tokens is not significant."
    )
