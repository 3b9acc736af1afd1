"""The report: it agrees with the tables, needs nothing outside itself, and names stay text."""

import base64
import gzip
import json
from dataclasses import replace
from html.parser import HTMLParser

import pandas as pd
import pyarrow as pa
import pytest
from support import result_tables

from raysweep.errors import ConfigError
from raysweep.reducing.result_tables import score_table
from raysweep.reporting.page import PAGE, render, write_report
from raysweep.reporting.page_data import ACCURACIES, COUNTS, EXACT, SHARES, page_data
from raysweep.reporting.quality import gaps, notes, quality
from raysweep.reporting.results import points_of, read_results, where, with_weights
from raysweep.storage.schemas import FRONTIER, SCENARIOS, SCORES, THRESHOLDS
from raysweep.storage.store import Store
from raysweep.system.quantities import percent

HOSTILE = "</script><!--<img src=x onerror=\"document.body.dataset.error='xss'\">&lt;b&gt;"
VOID = {"meta", "input", "br", "img", "link", "hr"}


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
        packed = next(script for script in self.scripts if script.startswith("H4sI"))
        return json.loads(gzip.decompress(base64.b64decode(packed)))


@pytest.fixture(scope="module")
def page() -> Page:
    return Page(render(result_tables.results()))


def test_the_page_is_well_formed(page):
    assert page.open == []
    ids = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(ids) == len(set(ids))


def test_the_page_requests_nothing_outside_itself(page):
    for tag, attrs in page.elements:
        assert tag not in ("link", "iframe", "img", "base")
        for name in ("src", "href", "action", "srcset"):
            assert attrs.get(name, "#").startswith("#")
    policy = next(attrs for _, attrs in page.elements if "http-equiv" in attrs)["content"]
    assert policy.startswith("default-src 'none'")
    styles = "".join(page.text)
    assert "@import" not in styles
    assert "url(" not in styles


def test_the_page_of_a_small_run_is_small(page):
    assert len(render(result_tables.results())) < 200_000


def test_numbers_in_the_page_equal_the_tables(page):
    tables, data = result_tables.results(), page.data
    columns, engines = data["scenarios"], data["engines"]
    for name in (*EXACT, *ACCURACIES, *COUNTS):
        assert columns[name] == tables.scenarios[name].tolist(), name
    for name in SHARES:
        assert columns[name] == pytest.approx(tables.scenarios[name].tolist(), abs=1e-6), name
    assert [engines[i]["id"] for i in columns["engine"]] == tables.scenarios.engine_id.tolist()
    named = [data["benchmarks"][i] for i in columns["benchmark"]]
    assert named == tables.scenarios.benchmark.tolist()
    assert data["sweep_batch_sizes"] == [1, 8, 64]


def test_equal_results_give_equal_pages():
    assert render(result_tables.results()) == render(result_tables.results())


def test_hostile_names_stay_text():
    hostile = Page(
        render(result_tables.results(model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE))
    )
    assert hostile.open == []
    assert not any(tag == "img" or "onerror" in attrs for tag, attrs in hostile.elements)
    assert hostile.data["engines"][0]["model"] == HOSTILE
    assert HOSTILE in "".join(hostile.text)


def test_what_is_not_a_number_is_null():
    tables = result_tables.results()
    tables.frontier.loc[0, "p_on_frontier"] = float("nan")
    assert page_data(tables)["stays"][0][2] is None


def test_a_study_of_many_engines_at_first_shows_only_what_is_on_a_frontier():
    tables = result_tables.results()
    few = page_data(tables)["looks"]
    assert all(entry["shown"] for entries in few.values() for entry in entries)
    copies = [tables.scenarios.assign(engine_id=tables.scenarios.engine_id + i) for i in "abc"]
    many = type(tables)(
        pd.concat(
            [tables.scenarios, *(copy.assign(model=f"other-{i}") for i, copy in enumerate(copies))]
        ),
        tables.frontier,
        tables.summary,
    )
    shown = {entry["name"]: entry["shown"] for entry in page_data(many)["looks"]["model"]}
    assert {name for name, is_shown in shown.items() if is_shown} == set(tables.frontier.model)


def test_the_baselines_are_shown_at_first_though_they_are_on_no_frontier():
    tables = result_tables.results()
    frontier = tables.frontier.head(1).assign(kv_policy="streaming_llm-64", group_size=4)
    copies = [
        tables.scenarios.assign(
            engine_id=tables.scenarios.engine_id + i, model=tables.scenarios.model + i
        )
        for i in "ab"
    ]
    rows = pd.concat([tables.scenarios, *copies], ignore_index=True)
    many = replace(tables, scenarios=rows, frontier=frontier, candidates={})
    looks = page_data(many)["looks"]
    shown = {
        choice: [entry["name"] for entry in looks[choice] if entry["shown"]]
        for choice in ("policy", "group")
    }
    assert shown == {"policy": ["full", "streaming_llm-64"], "group": ["1", "4"]}


def test_an_empty_run_gives_a_page_that_says_so(tmp_path):
    store = Store(str(tmp_path))
    for name, schema in {
        "scenarios": SCENARIOS,
        "scores": SCORES,
        "frontier": FRONTIER,
        "thresholds": THRESHOLDS,
    }.items():
        store.write_table(f"{name}.parquet", schema.empty_table())
    write_report(read_results(store), store)
    assert "This run has no scenarios yet." in store.read_text(PAGE)


def test_a_report_lies_in_the_run_folder(tmp_path):
    store, own = Store(str(tmp_path)), result_tables.results().of("chain")
    for name, table in {
        "scenarios": own.scenarios,
        "frontier": own.frontier,
        "thresholds": own.thresholds,
    }.items():
        store.write_table(f"{name}.parquet", pa.Table.from_pandas(table, preserve_index=False))
    store.write_table("scores.parquet", score_table(own.candidates))
    store.write_text("summary.json", json.dumps(own.summary))
    assert write_report(read_results(store), store) == store.path(PAGE)
    assert "19.2M" in store.read_text(PAGE)
    for stem in ("frontier", "composition", "parallel", "threshold"):
        for ending in ("svg", "pdf", "png"):
            assert store.exists(f"figures/chain-{stem}.{ending}")


def test_a_frontier_of_an_older_run_gets_the_groups_of_its_weights_from_the_scenarios():
    own = result_tables.results().of("chain")
    scenarios = own.scenarios.assign(weight_method="gptq", weight_bits=4, weight_group_size=32)
    lacking = ["weight_symmetric", "weight_act_order"]
    old = own.frontier.drop(columns=["weight_group_size", *lacking])
    old = old.assign(weight_method="gptq", weight_bits=4)
    for columns in ([], lacking):
        found = with_weights(old, scenarios.drop(columns=columns))
        assert {point.configuration.precision for point in points_of(found)} == {"gptq4-g32"}


def test_results_of_an_older_version_are_to_be_reduced_again(tmp_path):
    store = Store(str(tmp_path))
    old = SCENARIOS.empty_table().drop_columns(["estimate"])
    store.write_table("scenarios.parquet", old)
    with pytest.raises(ConfigError, match=r"no column 'estimate'; run the stage 'reduce' again"):
        read_results(store)


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


def test_missing_and_damaged_results_are_listed_and_nothing_else():
    assert gaps(result_tables.SUMMARY) == []
    found = gaps(
        {
            "shards": 300,
            "shards_missing": 12,
            "scenarios_skipped": 1,
            "incomplete": {f"toy-{i} on sums": 1 for i in range(10)},
            "parts_set_aside": ["samples/engine=toy/shard-1.parquet"],
            "samples": 5000,
            "finishes": {"stop": 4000, "loop": 3},
        }
    )
    assert found[0].startswith("12 of 300 shards are missing, so 1 scenario could not")
    assert found[1].endswith("toy-7 on sums (1 sample) and 2 others.")
    assert "shard-1.parquet" in found[2]
    assert len(found) == 3


def test_traces_that_repeat_themselves_are_a_note_and_no_missing_result():
    summary = {**result_tables.SUMMARY, "samples": 5000, "finishes": {"stop": 4997, "loop": 3}}
    assert gaps(summary) == []
    assert notes(summary) == [
        "No shard is missing, and no file was damaged.",
        "Of 5,000 traces, 3 were stopped because the text repeated itself endlessly.",
        "The run survived 3 faults.",
    ]
    page = render(replace(result_tables.results(), summary=summary))
    assert "Some results are missing" not in page
    page = render(replace(result_tables.results(), summary={**summary, "shards_missing": 1}))
    assert "Some results are missing" in page
