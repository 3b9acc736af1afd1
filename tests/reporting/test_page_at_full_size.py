"""The page of 20,160 scenarios: a change draws what it changes, charts stay legible, tables can be searched.

Nothing here hangs on time. `python -m benchmarks.page` says how long a move of a slider takes.
"""

from pathlib import Path

import axe_core_python
import pytest
from support import full_size
from support.browser import PHONE, Browser, Page
from support.report_page import choose, frontier_of, table_of, texts

from raysweep.reporting.page import render

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
MODELS = list(full_size.MODELS)


@pytest.fixture(scope="module")
def html() -> str:
    """With few questions, since the page's size depends on the number of scenarios alone."""
    return render(full_size.results(questions=8))


@pytest.fixture(scope="module")
def full(browser: Browser, html: str) -> Page:
    return browser.open(html, name="full-size")


@pytest.fixture
def page(full: Page) -> Page:
    """The page with its controls as they are at first, at its top."""
    full.front()
    full.evaluate("form.reset()")
    full.frames()
    full.evaluate("page.settle()")
    full.evaluate("scrollTo(0, 0)")
    return full


def moved(page: Page, control: str, *values: int) -> list[list[str]]:
    """The pieces that the last of some moves of a slider drew at once, and all that it drew."""
    page.evaluate("byId('answer').scrollIntoView()")
    return page.evaluate(
        f"""(async () => {{ let now;
            for (const value of {list(values)}) {{
              form.elements["{control}"].value = value;
              form.elements["{control}"].dispatchEvent(new Event("input", {{ bubbles: true }}));
              await new Promise((done) => requestAnimationFrame(() => done()));
              now = [...page.drawn];
            }}
            page.settle();
            return [now, page.drawn]; }})()"""
    )


def test_there_are_as_many_scenarios_as_in_the_full_sweep(page: Page):
    assert page.evaluate("page.view.rows.length") == 20_160 / 2
    assert page.troubles == []


def test_a_move_of_the_memory_draws_the_answer_and_three_marks_of_the_large_chart(page: Page):
    page.evaluate("byId('memory-chart').querySelector('canvas').kept = true")
    now, drawn = moved(page, "memory", 400)
    assert set(now) <= {"answer", "memory, moving"}
    assert set(drawn) == {"answer", "memory, moving", "batches"}
    assert page.evaluate("byId('memory-chart').querySelector('canvas').kept")
    assert page.evaluate("byId('memory-chart').querySelectorAll('.moving > g').length") == 2


def test_a_move_of_the_batch_size_draws_nothing_that_does_not_depend_on_it(page: Page):
    _, drawn = moved(page, "batch_size", 2)
    assert {"memory", "votes", "frontier table", "scenarios table"} <= set(drawn)
    assert not {"kv", "eviction", "threshold"} & set(drawn)


def test_moves_in_a_row_draw_what_is_off_the_screen_once(page: Page):
    _, drawn = moved(page, "batch_size", 1, 3, 2, 4)
    assert drawn.count("votes") == drawn.count("frontier table") == 1


def test_a_move_does_not_sort_the_scenarios_again(page: Page):
    before = page.evaluate("page.tables.scenarios.state.work")
    moved(page, "batch_size", 3)
    assert page.evaluate("page.tables.scenarios.state.work") == before


def test_thousands_of_dots_are_a_picture_and_few_elements(page: Page):
    page.evaluate("byId('all').click()")
    page.evaluate("page.settle()")
    for name in ("memory", "batches"):
        assert page.evaluate(f"byId('{name}-chart').querySelectorAll('canvas').length") == 1
    assert page.evaluate("document.querySelectorAll('svg *').length") < 8000
    assert page.evaluate("byId('memory-chart').chart.clouds[0].rows.length") == 20_160 / 2


@pytest.mark.parametrize("chart", ["tokens", "groups", "kv", "eviction"])
def test_a_chart_of_many_engines_is_a_chart_for_each_model(page: Page, chart: str):
    assert texts(page, f"#{chart}-chart h3") == MODELS


def test_one_precision_is_shown_of_many_engines_and_others_when_asked(page: Page):
    marks = "byId('kv-chart').querySelectorAll('.mark').length"
    panels = "[...byId('kv-chart').querySelectorAll('.panel > .chart')]"
    weights = f"{panels}.flatMap(({{ chart }}) => chart.stops.map(({{ row }}) => row.weights))"
    assert set(page.evaluate(weights)) == {"bf16"}
    few = page.evaluate(marks)
    choose(page, kv_weights="gptq4")
    assert set(page.evaluate(weights)) == {"gptq4"}
    choose(page, kv_weights="all")
    assert page.evaluate(marks) > 2 * few


def test_a_policy_is_drawn_by_its_best_within_each_number_of_bytes(page: Page):
    """So an evicting policy, whose larger budgets all take about the same bytes, is no scribble."""
    lines = page.evaluate(
        """[...byId('kv-chart').querySelectorAll('.panel > .chart')].flatMap(({ chart }) =>
        chart.spec.layers.filter(({ type }) => type === 'line')
          .map(({ points }) => points.map(({ x, y }) => [x, y])))"""
    )
    for line in lines:
        assert line == sorted(line)
        assert [y for _, y in line] == sorted(y for _, y in line)


def test_a_legend_names_what_is_drawn_and_nothing_else(page: Page):
    choose(page, model=["qwen3-8b"], weights=["bf16", "gptq4"])
    on_frontier = {row[3] for row in frontier_of(page)}
    assert 0 < len(on_frontier) < len(full_size.POLICIES)
    legend = texts(page, "#memory-legend > span")
    assert set(legend) & set(full_size.POLICIES) == on_frontier
    assert set(legend) & set(MODELS) == {"qwen3-8b"}
    assert "gptq8" not in legend


def test_a_light_says_which_accuracies_are_corrected(page: Page):
    lights = "#memory-legend .light"
    assert texts(page, lights) == ["dots: measured", "line: on new questions"]
    heads = "#frontier-table th .light.corrected"
    assert texts(page, heads) == ["Expected"]
    # Of the frontier of those shown only the estimates are known.
    choose(page, model=["qwen3-8b"])
    assert texts(page, lights) == ["dots: measured", "line: estimate"]
    assert texts(page, heads) == []
    assert texts(page, "#frontier-table th .light.smoothed") == ["Expected"]


# ---- tables ----
def test_the_frontier_is_folded_to_a_row_for_each_model_precision_and_policy(page: Page):
    points = frontier_of(page)
    page.evaluate("page.tables.frontier.setFolded(true)")
    groups = list(dict.fromkeys((row[1], row[2], row[3]) for row in points))
    folded = table_of(page, "frontier")
    assert [(row[2], row[3], row[4]) for row in folded] == groups[:20]
    counts = [sum((row[1], row[2], row[3]) == group for row in points) for group in groups]
    assert [int(row[0]) for row in folded] == counts[:20]
    first = next(i for i, count in enumerate(counts) if count > 1)
    page.evaluate("document.querySelector('#frontier-table .unfold').click()")
    own = [row for row in points if (row[1], row[2], row[3]) == groups[first]]
    assert [row[1:] for row in table_of(page, "frontier")[first + 1 :][: len(own)]] == own
    assert page.evaluate("document.activeElement.getAttribute('aria-expanded')") == "true"
    page.evaluate("document.activeElement.click()")
    assert table_of(page, "frontier") == folded


def test_a_table_is_read_page_by_page_and_searched_as_a_whole(page: Page):
    first = table_of(page, "scenarios")
    assert len(first) == 20
    page.evaluate("byId('scenarios-pager').lastElementChild.click()")
    second = table_of(page, "scenarios")
    assert len(second) == 20 and second != first
    (where,) = texts(page, "#scenarios-pager span")
    assert where.startswith("21–40 of ")
    search(page, "1.7b GPTQ4 quantized-8 6000")
    found = table_of(page, "scenarios")
    assert len(found) == len(full_size.GROUP_SIZES)
    assert {tuple(row[1:5]) for row in found} == {("qwen3-1.7b", "gptq4", "quantized-8", "6,000")}
    search(page, "nothing of this name")
    assert table_of(page, "scenarios") == []
    search(page, "")
    assert table_of(page, "scenarios") == first


def search(page: Page, text: str) -> None:
    page.evaluate(
        f"""(() => {{ const field = byId("scenarios-search"); field.value = "{text}";
        field.dispatchEvent(new Event("input", {{ bubbles: true }})); }})()"""
    )


# ---- with any abilities, on any screen ----
@pytest.mark.parametrize(
    ("size", "dark"), [((1280, 900), False), ((1280, 900), True), (PHONE, False)]
)
def test_axe_finds_no_fault(browser: Browser, html: str, size: tuple[int, int], dark: bool):
    page = browser.open(html, size, dark, name="axe-full")
    page.evaluate(AXE)
    faults = page.evaluate(
        "axe.run().then(({ violations }) => violations.map(({ id, impact, nodes }) => "
        "[id, impact, nodes[0].html]))"
    )
    assert faults == []
    assert page.evaluate("document.documentElement.scrollWidth") == size[0]
