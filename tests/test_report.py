"""The report: it says what the tables say, needs nothing outside itself, and names stay text."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from html.parser import HTMLParser

import pyarrow as pa
import pytest
import result_tables

from raysweep.reporting.page import (
    FRONTIER_COLUMNS,
    PAGE,
    SCENARIO_COLUMNS,
    page_data,
    quality,
    render,
    write_report,
)
from raysweep.reporting.results import Point, Results, points_of, where
from raysweep.reporting.wording import human_bytes, interval, percent
from raysweep.store import Store
from raysweep.tables import FRONTIER, SCENARIOS

HOSTILE = "</script><!--<img src=x onerror=\"document.body.dataset.error='xss'\">&lt;b&gt;"
VOID = {"meta", "input", "br", "img", "link", "hr"}


def results(**replacements: str) -> Results:
    """Synthetic results; `replacements` give columns the same value in every row."""
    scenarios = result_tables.scenarios()
    frontier = result_tables.frontier(scenarios)
    frontier.loc[0, ["memory_bytes", "accuracy"]] = [172_500.0, 0.1225]  # halves, to be rounded up
    return Results(
        scenarios.assign(**replacements), frontier.assign(**replacements), result_tables.SUMMARY
    )


class Page(HTMLParser):
    """Reads a page: every element with its attributes, the text of scripts, and open elements."""

    def __init__(self, html: str):
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict]] = []
        self.scripts: list[str] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "script":
            self.scripts.append("")

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] == "script":
            self.scripts[-1] += data
        else:
            self.text.append(data)

    @property
    def data(self) -> dict:
        return json.loads(next(text for text in self.scripts if text.startswith("{")))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(results()))


def test_the_page_is_well_formed(page):
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_asks_for_nothing_outside_itself(page):
    for tag, attrs in page.elements:
        assert tag not in ("link", "iframe", "img", "base")
        for name in ("src", "href", "action", "srcset"):
            assert attrs.get(name, "#").startswith("#")
    policy = next(attrs for _, attrs in page.elements if "http-equiv" in attrs)["content"]
    assert policy.startswith("default-src 'none'")
    styles = "".join(page.text)
    assert "@import" not in styles
    assert "url(" not in styles


def test_numbers_in_the_page_equal_the_tables(page):
    tables = results()
    for key, table, columns in (
        ("scenarios", tables.scenarios, SCENARIO_COLUMNS),
        ("frontier", tables.frontier, FRONTIER_COLUMNS),
    ):
        assert set(page.data[key]) == set(columns)
        for name in set(columns) - {"weights"}:
            assert page.data[key][name] == table[name].tolist(), name
    assert page.data["batch_sizes"] == [1, 8, 64]


def test_hostile_names_stay_text():
    html = render(results(model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE))
    hostile = Page(html)
    assert hostile.open == []
    assert not any(tag == "img" or "onerror" in attrs for tag, attrs in hostile.elements)
    assert hostile.data["models"][0]["name"] == HOSTILE
    assert HOSTILE in "".join(hostile.text)


def test_what_is_not_a_number_is_null():
    tables = results()
    tables.frontier.loc[0, "p_on_frontier"] = float("nan")
    assert page_data(tables)["frontier"]["p_on_frontier"][0] is None


def test_an_empty_run_gives_a_page_that_says_so(tmp_path):
    store = Store(str(tmp_path))
    store.write_table("scenarios.parquet", SCENARIOS.empty_table())
    store.write_table("frontier.parquet", FRONTIER.empty_table())
    write_report(store)
    assert "No scenario has been computed yet." in store.read_text(PAGE)


def test_a_report_lies_in_the_run_folder(tmp_path):
    store, tables = Store(str(tmp_path)), results()
    chain = {"scenarios.parquet": tables.scenarios, "frontier.parquet": tables.frontier}
    for name, table in chain.items():
        rows = where(table, benchmark="chain")
        store.write_table(name, pa.Table.from_pandas(rows, preserve_index=False))
    store.write_text("summary.json", json.dumps(tables.summary))
    assert write_report(store) == store.path(PAGE)
    assert "19.2M" in store.read_text(PAGE)
    for stem in ("frontier", "token-budget", "group-size"):
        assert store.exists(f"figures/chain-{stem}.svg")
        assert store.exists(f"figures/chain-{stem}.png")


def test_quality_counts_each_answer_once_and_lists_incomplete_scenarios():
    scenarios = result_tables.scenarios()
    rows = {(row.benchmark, row.model): row for row in quality(scenarios)}
    row = rows["facts", "tiny-755k"]
    own = where(scenarios, model="tiny-755k", benchmark="facts")
    assert (row.incomplete, row.scenarios) == (25, 75)
    singles = where(own, group_size=1)
    assert row.shares["cut_off"] == (
        percent(singles.cut_off.mean()),
        percent(singles.cut_off.max()),
    )


# ---- in a browser ----

FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--virtual-time-budget=8000", "--window-size=1280,1600"),
)
CHOOSE = """<script>
addEventListener("load", () => setTimeout(() => {
  const choices = [["batch_size", "64"], ["benchmark", "facts"], ["model", "tiny-755k"]];
  for (const [name, value] of choices)
    document.querySelector(`[name="${name}"][value="${value}"]`).click();
  [...document.querySelectorAll("#frontier-table th button")].at(-3).click();
}, 1000));
</script>"""


def browse(html: str, folder) -> str:
    """The page's DOM once Chromium has run its scripts, which write nothing to the console."""
    browser = shutil.which("chromium") or shutil.which("google-chrome")
    if browser is None:
        reason = "no chromium here: apt-get install chromium to test the page in a browser"
        pytest.fail(reason) if os.environ.get("RAYSWEEP_REQUIRE_ALL") == "1" else pytest.skip(
            reason
        )
    path = folder / "page.html"
    path.write_text(html)
    profile = f"--user-data-dir={folder / 'profile'}"
    command = [browser, *FLAGS, profile, "--dump-dom", path.as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
    assert "CONSOLE" not in done.stderr, done.stderr
    return done.stdout


def table_texts(dom: str) -> list[list[str]]:
    """The frontier table's cells, row by row."""
    body = dom.split('id="frontier-table"')[1].split("<tbody>")[1].split("</tbody>")[0]
    return [re.findall(r"<td[^>]*>([^<]*)</td>", row) for row in body.split("</tr>")[:-1]]


def expected_texts(points: Sequence[Point]) -> list[list[str]]:
    return [
        [
            human_bytes(row.memory_bytes),
            row.model,
            "bf16",
            row.kv_policy,
            str(row.token_budget),
            str(row.group_size),
            percent(row.accuracy),
            interval(row.accuracy_lo, row.accuracy_hi),
            percent(row.p_on_frontier),
        ]
        for row in points
    ]


def body_tag(dom: str) -> str:
    return re.findall(r"<body[^>]*>", dom)[0]


def test_the_page_draws_itself_and_agrees_with_python_on_every_number(tmp_path):
    tables = results()
    dom = browse(render(tables), tmp_path)
    assert body_tag(dom) == '<body data-ready="true">'
    assert dom.count('<svg class="main-svg"') >= 3
    points = points_of(where(tables.frontier, benchmark="chain", batch_size=1))
    assert table_texts(dom) == expected_texts(points)
    assert "plotly-cloud" not in dom.split("</script>")[-1].lower()


def test_controls_choose_the_frontier_and_a_heading_sorts_it(tmp_path):
    tables = results()
    dom = browse(render(tables).replace("</body>", CHOOSE + "</body>"), tmp_path)
    assert 'data-error="' not in body_tag(dom)
    points = points_of(where(tables.frontier, benchmark="facts", batch_size=64))
    assert table_texts(dom) == expected_texts(sorted(points, key=lambda point: point.accuracy))
    assert dom.count('<tr class="dimmed">') == sum(p.model == "tiny-755k" for p in points)
    assert "12 curves shown." in dom


def test_hostile_names_do_nothing_in_a_browser(tmp_path):
    html = render(results(model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE))
    hover = """<script>addEventListener("load", () => setTimeout(() => {
      const plot = document.getElementById("memory-plot");
      Plotly.Fx.hover(plot, [{ curveNumber: plot.data.length - 1, pointNumber: 0 }]);
    }, 1000));</script>"""
    dom = browse(html.replace("</body>", hover + "</body>"), tmp_path)
    assert body_tag(dom) == '<body data-ready="true">'
    assert 'class="hovertext"' in dom
    assert "<img" not in dom.split('id="data"')[0]
