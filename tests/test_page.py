"""The page at work in a headless Chromium: it draws, answers as Python does, and can be used by everyone."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import result_tables
from browser import PHONE, Browser, Page

from raysweep.candidates import Candidates, Row
from raysweep.frontier import pareto
from raysweep.recommend import Choice, recommend
from raysweep.reporting.page import render
from raysweep.reporting.page_data import SLIDER_BATCHES
from raysweep.reporting.results import Results, where
from raysweep.reporting.wording import human_bytes, interval, percent

HOSTILE = "</script><!--<img src=x onerror=\"document.body.dataset.error='xss'\">&lt;b&gt;"
RESULTS = result_tables.results()
CHAIN = RESULTS.candidates["chain"]
KEY = ("engine_id", "token_budget", "group_size")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.fixture(scope="module")
def opened(browser: Browser) -> Page:
    """One page for all tests; each begins with `reset`."""
    return browser.open(render(RESULTS), name="chain")


@pytest.fixture
def page(opened: Page) -> Page:
    opened.front()
    opened.evaluate("form.reset()")
    opened.frames()
    return opened


def choose(page: Page, **controls: object) -> None:
    """Set controls as a person does: by name, a value; for checkboxes those that are to be checked."""
    page.evaluate(
        f"""(() => {{
        for (const [name, value] of Object.entries({json.dumps(controls)})) {{
          for (const control of form.querySelectorAll(`[name="${{name}}"]`)) {{
            if (control.type === "checkbox") control.checked = value.includes(control.value);
            else if (control.type === "radio") control.checked = control.value === String(value);
            else control.value = value;
            control.dispatchEvent(new Event("input", {{ bubbles: true }}));
          }}
        }} }})()"""
    )
    page.frames()


def texts(page: Page, selector: str) -> list[str]:
    found = f"[...document.querySelectorAll({json.dumps(selector)})]"
    return page.evaluate(f"{found}.map((one) => one.textContent.trim())")


def table_of(page: Page, name: str) -> list[list[str]]:
    rows = f"[...document.querySelectorAll('#{name}-table tbody tr')]"
    return page.evaluate(f"{rows}.map((row) => [...row.cells].map((cell) => cell.textContent))")


def frontier_texts(candidates: Candidates, batch_size: int, own: Results) -> list[list[str]]:
    """What the frontier's table is to say, by Python's frontier."""
    memory = candidates.memory_bytes(batch_size)
    points = np.flatnonzero(pareto(memory, candidates.accuracy))
    known = where(own.frontier, batch_size=batch_size)
    stays = {
        key: share
        for *key, share in zip(*(known[name] for name in KEY), known.p_on_frontier, strict=True)
        for key in [tuple(key)]
    }
    return [
        _frontier_texts(candidates.rows[point], float(memory[point]), stays)
        for point in points[np.argsort(memory[points], kind="stable")].tolist()
    ]


def _frontier_texts(row: Row, memory_bytes: float, stays: dict) -> list[str]:
    return [
        human_bytes(memory_bytes),
        row["model"],
        "bf16",
        row["kv_policy"],
        f"{row['token_budget']:,}",
        str(row["group_size"]),
        percent(row["accuracy"]),
        interval(row["accuracy_lo"], row["accuracy_hi"]),
        percent(stays.get(tuple(row[name] for name in KEY), float("nan"))),
    ]


def test_it_draws_from_a_file_asks_for_nothing_and_says_nothing_to_the_console(page: Page):
    assert page.evaluate("location.protocol") == "file:"
    assert page.evaluate("document.body.dataset.error ?? null") is None
    assert page.evaluate("performance.getEntriesByType('resource').length") == 0
    assert page.evaluate("document.querySelectorAll('.chart > svg').length") == 11
    assert page.troubles == []


def test_a_request_would_not_go_unseen(browser: Browser):
    asks = "<script>fetch('http://127.0.0.1:9/').catch(() => {})</script></body>"
    page = browser.open(render(RESULTS).replace("</body>", asks), name="asks")
    page.until("true")
    assert page.troubles


@pytest.mark.parametrize("place", range(len(SLIDER_BATCHES)))
def test_the_batch_slider_moves_the_frontier_to_where_python_has_it(page: Page, place: int):
    choose(page, batch_size=place)
    batch_size = SLIDER_BATCHES[place]
    assert page.evaluate("document.getElementById('batch-value').textContent") == str(batch_size)
    assert table_of(page, "frontier") == frontier_texts(CHAIN, batch_size, RESULTS.of("chain"))
    assert page.evaluate("byId('memory-chart').chart.stops.length") == len(
        table_of(page, "frontier")
    )


def test_filters_and_the_benchmark_choose_who_competes(page: Page):
    choose(page, benchmark=1, model=["tiny-50k", "tiny-394k"], group=["1", "4"])
    facts = RESULTS.candidates["facts"]
    chosen = [
        index
        for index, row in enumerate(facts.rows)
        if row["model"] in ("tiny-50k", "tiny-394k") and row["group_size"] in (1, 4)
    ]
    expected = frontier_texts(facts.take(chosen), 1, RESULTS.of("facts"))
    assert table_of(page, "frontier") == expected
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


def key(row: Row) -> list:
    return [row[name] for name in KEY]


def beside(one: Choice | None, sign: int) -> dict | None:
    """A neighbour as the page has it: how far the more expensive of the two is ahead."""
    if one is None:
        return None
    bounds = sorted((sign * one.behind_lo, sign * one.behind_hi))
    numbers = {"ahead": sign * one.behind, "low": bounds[0], "high": bounds[1]}
    return {"row": key(one.row), **{name: close(value) for name, value in numbers.items()}}


def close(value: float):
    return pytest.approx(value, abs=1e-9)


def test_the_page_recommends_what_python_recommends_at_many_memories_and_batch_sizes(page: Page):
    rng = np.random.default_rng(0)
    cases = []
    for batch_size in SLIDER_BATCHES:
        memory = CHAIN.memory_bytes(batch_size) * batch_size
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
            # The page holds intervals to six digits.
            "low": pytest.approx(found.accuracy_lo, abs=1e-6),
            "high": pytest.approx(found.accuracy_hi, abs=1e-6),
            "measured": close(found.measured),
            "optimism": close(found.optimism),
            "considered": found.considered,
            "alternatives": [key(one.row) for one in found.alternatives],
            "less": beside(found.less, 1),
            "more": beside(found.more, -1),
        }


@pytest.mark.parametrize(("slider", "place"), [(0, 0), (250, 3), (500, 0), (618, 8), (1000, 5)])
def test_the_memory_slider_answers_in_words(page: Page, slider: int, place: int):
    choose(page, batch_size=place)
    choose(page, memory=slider)
    found = recommend(CHAIN, page.evaluate("page.view.memory"), SLIDER_BATCHES[place])
    (best,) = texts(page, "#answer .best")
    (expected,) = texts(page, "#answer .expected")
    row = found.best
    assert best.startswith(
        f"{row['model']} bf16, {row['kv_policy']} KV, {row['token_budget']:,} token"
    )
    bounds = interval(found.accuracy_lo, found.accuracy_hi)
    assert expected == f"{percent(found.accuracy)} expected, 95% interval {bounds}"
    assert f"Takes {human_bytes(found.best_memory_bytes)}." in texts(page, "#answer .hint")[0]
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
    memory = CHAIN.memory_bytes(4) * 4
    assert answer == {"smallest": key(CHAIN.rows[int(memory.argmin())])}


def test_a_threshold_is_said_in_plain_words_decided_or_not(page: Page):
    (said,) = texts(page, "#threshold-caption")
    assert said == (
        "chain, batch size 1: below weights of 416 kB more weights beat more tokens, above it the reverse "
        "(95% interval 208 kB to 788 kB)."
    )
    choose(page, benchmark=1)
    (said,) = texts(page, "#threshold-caption")
    assert said.startswith("facts, batch size 1: not decided by these data. Neither more weights")


# ---- tables ----
def test_a_heading_sorts_its_table_up_and_then_down(page: Page):
    accuracy = "document.querySelectorAll('#frontier-table th button')[6]"
    page.evaluate(f"{accuracy}.click()")
    rows = frontier_texts(CHAIN, 1, RESULTS.of("chain"))
    assert table_of(page, "frontier") == rows  # a frontier's accuracy grows with its memory
    page.evaluate(f"{accuracy}.click()")
    assert table_of(page, "frontier") == rows[::-1]
    sorts = page.evaluate(f"{accuracy}.parentElement.getAttribute('aria-sort')")
    assert sorts == "descending"


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
    for row, own in zip(rows, CHAIN.rows, strict=True):
        assert (row["model"], row["kv_policy"]) == (own["model"], own["kv_policy"])
        assert float(row["accuracy"]) == own["accuracy"]
        assert float(row["memory_bytes"]) == own["weights_bytes"] + own["kv_bytes"]
    assert len(table_of(page, "scenarios")) == 20


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


# ---- for everyone ----
def test_the_arrow_keys_tell_a_charts_points(page: Page):
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


def test_a_pointer_tells_the_nearest_point(page: Page):
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
    import axe_core_python

    page = browser.open(render(RESULTS), size, dark, name="axe")
    page.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text())
    faults = page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => "
        "[id, impact, nodes[0].html]))"
    )
    assert faults == []


def test_axe_would_find_one(browser: Browser):
    import axe_core_python

    page = browser.open(
        render(RESULTS).replace('<label for="memory">Memory</label>', ""), name="fault"
    )
    page.evaluate((Path(axe_core_python.__file__).parent / "axe.min.js").read_text())
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
