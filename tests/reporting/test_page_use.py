"""The page in use: its tables, by keyboard and pointer, on a phone and on paper, with any names."""

import csv
import io
import json
from pathlib import Path

import axe_core_python
import numpy as np
import pytest
from support import result_tables
from support.browser import PHONE, Browser, Page
from support.report_page import CHAIN, RESULTS, frontier_of, frontier_texts, table_of, texts

from raysweep.reporting.page import render
from raysweep.reporting.recommendation_text import (
    each_is_worse_in_words,
    indistinguishable_in_words,
    measured_in_words,
)
from raysweep.reporting.results import Results
from raysweep.system.quantities import human_bytes, percent, percentage_points

HOSTILE = "</script><!--<img src=x onerror=\"document.body.dataset.error='xss'\">&lt;b&gt;"
AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()


def test_a_heading_sorts_its_table_down_and_up_again(page: Page):
    memory = "document.querySelector('#frontier-table th button')"
    rows = frontier_texts(CHAIN, 1, RESULTS.of("chain"))
    assert frontier_of(page) == rows  # at first the least memory is above
    for order, shown in (("descending", rows[::-1]), ("ascending", rows)):
        page.evaluate(f"{memory}.click()")
        assert frontier_of(page) == shown
        sorts = page.evaluate(f"{memory}.parentElement.getAttribute('aria-sort')")
        assert sorts == order


def test_a_table_is_saved_whole_as_csv(page: Page):
    page.evaluate(
        """(() => { window.saved = {};
        HTMLAnchorElement.prototype.click = function () { saved.name = this.download; };
        const made = URL.createObjectURL;
        URL.createObjectURL = (blob) => { saved.blob = blob; return made.call(URL, blob); }; })()"""
    )
    page.evaluate("document.querySelector('[data-csv=scenarios]').click()")
    assert page.evaluate("saved.name") == "chain-scenarios.csv"
    rows = list(csv.DictReader(io.StringIO(page.evaluate("saved.blob.text()"))))
    assert len(rows) == len(CHAIN)
    for row, own in zip(rows, CHAIN.members, strict=True):
        chosen = own.configuration
        assert (row["model"], row["kv_policy"]) == (chosen.model, chosen.kv_policy)
        assert float(row["accuracy"]) == own.accuracy
        assert float(row["memory_bytes"]) == own.weights_bytes + own.kv_bytes
    assert len(table_of(page, "scenarios")) == 20


def test_a_scenario_leads_to_its_traces_where_there_are_pages_of_them(browser: Browser, page: Page):
    links = "document.querySelectorAll('#scenarios-table tbody a')"
    assert page.evaluate(f"{links}.length") == 0
    read = browser.open(render(RESULTS, "traces/"), name="traces")
    assert read.evaluate(f"{links}.length") == 20
    asked = "({ id, token_budget, group_size }) => ({ engine: id, token_budget, group_size })"
    best = read.evaluate(f"new URLSearchParams(({asked})(page.view.answer.best)).toString()")
    (address,) = read.evaluate(
        "[...document.querySelectorAll('#answer a')].map((link) => link.getAttribute('href'))"
    )
    assert address == f"traces/chain.html#{best}"
    head, *_ = read.evaluate("page.tables.scenarios.csv()").splitlines()
    assert "traces" not in head
    read.evaluate(AXE)
    faults = "axe.run().then(({ violations }) => violations.map(({ id }) => id))"
    assert read.evaluate(faults) == []


def test_a_comma_a_quote_and_a_line_end_survive_in_csv(page: Page):
    cell = 'a,"b"\nc'
    column = "{ name: 'x,', value: (row) => row }"
    text = page.evaluate(f"csvOf([{column}, {column}], [{json.dumps(cell)}, null])")
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read == [["x,", "x,"], [cell, cell], ["", ""]]


def test_quantities_are_written_as_python_writes_them(page: Page):
    rng = np.random.default_rng(1)
    counts = [0, 1, 999, 999.5, 1000, 172_500, 999_900, *(10 ** rng.uniform(0, 14, 200)).tolist()]
    assert page.evaluate(f"{json.dumps(counts)}.map(humanBytes)") == [*map(human_bytes, counts)]
    shares = [0, 1, 0.1225, *rng.random(200).tolist()]
    assert page.evaluate(f"{json.dumps(shares)}.map(percent)") == [*map(percent, shares)]
    differences = [-0.0001, -0.0, *rng.uniform(-1, 1, 200).tolist()]
    written = page.evaluate(f"{json.dumps(differences)}.map(percentagePoints)")
    assert written == [*map(percentage_points, differences)]


@pytest.mark.parametrize("count", [1, 525, 1205])
def test_a_recommendation_is_described_as_python_describes_it(page: Page, count: int):
    for stopped in (0, 1, 2400):
        described = page.evaluate(f"measuredInWords(0.688, {count}, {stopped})")
        assert described == measured_in_words(0.688, count, stopped)
    others = page.evaluate(f"indistinguishableInWords({count}, {2 * count - 1})")
    assert others == indistinguishable_in_words(count, 2 * count - 1)
    assert page.evaluate(f"eachIsWorseInWords({count})") == each_is_worse_in_words(count)


def test_a_neighbour_that_gains_nothing_has_no_interval(page: Page):
    nothing = "{ ahead: 0, low: 0, high: 0 }"
    for side, said in (("better", "no gain expected"), ("worse", "no loss expected")):
        assert page.evaluate(f"expectedToBe({nothing}, '{side}')") == said
    some = page.evaluate("expectedToBe({ ahead: 0.012, low: -0.003, high: 0.027 }, 'better')")
    assert some == "expected to be 1.2 points better (95% interval −0.3 to 2.7)"


def test_the_arrow_keys_show_a_charts_points(page: Page):
    page.evaluate("byId('memory-chart').focus()")
    page.press("ArrowRight")
    first = texts(page, "#memory-chart .tip strong")
    page.press("ArrowRight")
    second = texts(page, "#memory-chart .tip strong")
    expected = frontier_texts(CHAIN, 1, RESULTS.of("chain"))
    for told, row in zip((first, second), expected, strict=False):
        assert told[0].startswith(f"{row[1]} {row[2]}, {row[3]} KV, {row[4]} token")
    page.press("Escape")
    assert page.evaluate("document.querySelector('#memory-chart .tip').hidden")


def test_a_pointer_shows_the_nearest_point(page: Page):
    page.evaluate("byId('memory-chart').scrollIntoView()")
    x, y = page.evaluate(
        """(() => { const holder = byId("memory-chart"), { chart } = holder;
        const box = holder.getBoundingClientRect();
        const last = chart.stops.at(-1);
        return [box.left + chart.x(last.x), box.top + chart.y(last.y)]; })()"""
    )
    page.call("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})
    (told,) = texts(page, "#memory-chart .tip strong")
    assert told.startswith(frontier_texts(CHAIN, 1, RESULTS.of("chain"))[-1][1])


@pytest.mark.parametrize(
    ("size", "dark"), [((1280, 900), False), ((1280, 900), True), (PHONE, False)]
)
def test_axe_finds_no_serious_fault(browser: Browser, size: tuple[int, int], dark: bool):
    page = browser.open(render(RESULTS), size, dark, name="axe")
    page.evaluate(AXE)
    faults = page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => "
        "[id, impact, nodes[0].html]))"
    )
    assert faults == []


def test_axe_would_find_one(browser: Browser):
    page = browser.open(
        render(RESULTS).replace('<label for="memory">Memory</label>', ""), name="fault"
    )
    page.evaluate(AXE)
    found = page.evaluate("axe.run().then(({ violations }) => violations.map(({ id }) => id))")
    assert "label" in found


def test_on_a_phone_nothing_is_wider_than_the_screen(browser: Browser):
    page = browser.open(render(RESULTS), PHONE, name="phone")
    assert page.evaluate("document.documentElement.scrollWidth") == PHONE[0]
    assert not page.evaluate("form.querySelector('details').open")


def test_on_paper_there_are_figures_in_light_and_no_controls(browser: Browser):
    page = browser.open(render(RESULTS), dark=True, name="print")
    page.emulate("print", dark=True)
    style = "getComputedStyle(document.querySelector({}))"
    assert page.evaluate(style.format("'.slider'") + ".display") == "none"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(28, 30, 33)"
    assert page.pdf().startswith(b"%PDF")


def test_hostile_names_do_nothing_in_a_browser(browser: Browser):
    hostile = result_tables.results(model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE)
    page = browser.open(render(hostile), name="hostile")
    page.evaluate("byId('memory-chart').focus()")
    page.press("ArrowRight")
    assert texts(page, "#memory-chart .tip strong")[0].startswith(HOSTILE)
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.body.dataset.error ?? null") is None
    assert page.troubles == []


def test_a_run_without_scenarios_opens_without_a_fault(browser: Browser):
    empty = Results(RESULTS.scenarios.head(0), RESULTS.frontier.head(0), {})
    page = browser.open(render(empty), name="empty")
    assert page.evaluate("document.body.dataset.ready") == "true"
    assert page.troubles == []
