"""The page of traces in a headless Chromium: from a file, one question at a time, all texts as texts."""

import json
import re
from pathlib import Path
from urllib.parse import urlencode

import axe_core_python
import pytest
from support.browser import DESKTOP, PHONE, Browser, Page
from support.hand_made_runs import LONG, SHORT
from support.report_page import texts
from support.traced_run import (
    ENGINE,
    ESCAPES,
    HOSTILE,
    SAID,
    SHOWN,
    THOUGHT,
    TWIN,
    staged,
    store_of,
    traced_run,
)

from raysweep.run_config import RunConfig
from raysweep.run_config.outputs import Traces
from raysweep.storage.store import Store

AXE = (Path(axe_core_python.__file__).parent / "axe.min.js").read_text()
WORDS = {"cut_off": "cut off", "error": "not scored"}


@pytest.fixture(scope="module")
def traced(tmp_path_factory: pytest.TempPathFactory) -> RunConfig:
    return traced_run(tmp_path_factory.mktemp("traced"), "reduce", "traces")


@pytest.fixture(scope="module")
def folder(traced: RunConfig) -> Path:
    return Path(traced.out) / "test" / "report" / "traces"


@pytest.fixture(scope="module")
def tab(browser: Browser, folder: Path) -> Page:
    return browser.visit((folder / "sums.html").as_uri())


def look(tab: Page, **wanted: object) -> None:
    """Follow an address of the page, as a link from the report does."""
    tab.front()
    turn = tab.evaluate("document.body.dataset.ready")
    # The page ignores `turn`, which makes each address another one.
    address = urlencode({"engine": ENGINE, **wanted, "turn": turn})
    tab.evaluate(f"location.hash = {json.dumps(address)}")
    tab.until(f"document.body.dataset.ready !== {json.dumps(turn)}")


def said(tab: Page, selector: str) -> str:
    return tab.evaluate(f"document.querySelector({json.dumps(selector)}).textContent")


def test_it_loads_a_question_from_the_files_beside_it_and_nothing_else(tab: Page, folder: Path):
    look(tab, question="sums-1", token_budget=SHORT, group_size=1)
    assert tab.troubles == []
    assert tab.asked[0] == (folder / "sums.html").as_uri()
    names = {name.rpartition("/")[2] for name in tab.asked[1:]}
    assert all(name.startswith(f"{folder.as_uri()}/sums/") for name in tab.asked[1:])
    # Of two engines and two questions, those that are looked at: the first question is shown at first.
    assert names == {"s0.js", "q0.js", "q0-e0.js", "q1.js", "q1-e0.js"}
    assert said(tab, "#question-title") == "sums-1"
    assert (said(tab, "#prompt"), said(tab, "#gold")) == ("And this?", "right")


def test_the_thinking_is_cut_where_budgets_cut_it(tab: Page):
    look(tab, question="sums-1", token_budget=SHORT, group_size=1)
    pieces = texts(tab, ".thinking span:not(.cut)")[:2]
    assert pieces == [THOUGHT[:SHORT].strip(), THOUGHT[SHORT:LONG].strip()]
    marks = texts(tab, ".thinking .cut")[:2]
    assert marks[0] == f"{SHORT} tokens, cut by force; budget {SHORT}: right ✓"
    assert marks[1] == f"{LONG} tokens, cut by force; budget {LONG}: right ✓"
    # What was thought after the chosen budget is set apart.
    assert texts(tab, ".thinking .beyond")[0] == THOUGHT[SHORT:LONG].strip()


def test_what_models_and_questions_say_is_text(tab: Page):
    look(tab, question="sums-0", token_budget=LONG, group_size=1)
    assert tab.evaluate("document.querySelectorAll('img').length") == 0
    assert tab.evaluate("document.body.dataset.error ?? null") is None
    assert said(tab, "#prompt") == f"What is this? {HOSTILE}{SHOWN}"
    assert texts(tab, ".answer")[0] == f"=right{HOSTILE}{SHOWN}"
    assert not set(ESCAPES[:1] + "\x07\u202e") & set(said(tab, "body"))
    assert tab.troubles == []


@pytest.mark.parametrize("question", SAID)
@pytest.mark.parametrize("budget", [SHORT, LONG])
@pytest.mark.parametrize("group", [1, 2, 4])
def test_the_vote_of_a_group_is_that_of_its_answers(
    tab: Page, question: str, budget: int, group: int
):
    look(tab, question=question, token_budget=budget, group_size=group)
    given = [one[budget] for one in SAID[question][:group]]
    votes = {
        text: given.count(text) for text in given if text not in ("unanswered", "cut_off", "error")
    }
    winners = {text for text, count in votes.items() if count == max(votes.values())}
    cells = texts(tab, "#engines-table tbody tr:first-child td")
    shown = [one.removesuffix(" ✓").split(" × ") for one in cells[1].split(", ")]
    counts = {text: count for count, text in shown}
    assert counts == {text: str(count) for text, count in votes.items()}
    absent = [WORDS.get(text, text) for text in given if text not in votes]
    assert sorted(cells[2].split(", ")) == (sorted(f"1 {text}" for text in absent) or ["–"])
    if len(winners) > 1:
        assert cells[0].startswith(f"a tie of {len(winners)}: ")
        chance = f"right in 1 of {len(winners)}" if "right" in winners else "wrong"
        assert cells[0].endswith(chance)
    else:
        (winner,) = winners
        assert cells[0] == f"{winner}, {'right' if winner == 'right' else 'wrong'}"


def test_the_four_outcomes_that_are_not_right_stand_apart(tab: Page):
    look(tab, question="sums-0", token_budget=LONG, group_size=4)
    tab.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert sorted(texts(tab, ".sample .outcome")) == ["correct", "cut off", "not scored", "wrong"]
    look(tab, question="sums-0", token_budget=SHORT, group_size=4)
    assert sorted(texts(tab, ".sample .outcome")) == ["correct", "unanswered", "wrong", "wrong"]


def test_two_engines_stand_side_by_side_and_the_address_keeps_all_choices(tab: Page):
    look(tab, question="sums-1", token_budget=LONG, group_size=2, beside=TWIN)
    assert texts(tab, "#samples h2") == [ENGINE, TWIN]
    tab.evaluate("byId('next').click()")
    tab.until("byId('question-title').textContent === 'sums-0'")
    kept = tab.evaluate("Object.fromEntries(new URLSearchParams(location.hash.slice(1)))")
    assert kept == {
        **{"question": "sums-0", "engine": ENGINE, "beside": TWIN},
        **{"token_budget": str(LONG), "group_size": "2"},
    }
    look(tab, question="sums-1", beside=ENGINE)


def test_an_engine_that_was_not_written_is_named(tab: Page):
    look(tab, engine="toy.bf16.streaming", question="sums-1")
    assert "Not among the traces that were written: engine toy.bf16.streaming" in said(
        tab, "#trouble"
    )
    look(tab, question="sums-1")
    assert tab.evaluate("byId('trouble').hidden")


def test_the_page_admits_no_other_script(tab: Page):
    tab.front()
    refused = """new Promise((done) => {
      const told = ({ effectiveDirective }) => done(effectiveDirective);
      addEventListener("securitypolicyviolation", told, { once: true });
      const script = document.createElement("script");
      %s
      document.head.append(script);
    })"""
    assert tab.evaluate(refused % "script.src = 'http://127.0.0.1:9/x.js';") == "script-src-elem"
    assert tab.evaluate(refused % "script.textContent = 'document.title = 1';") == "script-src-elem"
    tab.troubles.clear()


@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_no_fault_in_it(tab: Page, size: tuple[int, int], dark: bool):
    look(tab, question="sums-0", token_budget=LONG, group_size=4, beside=TWIN)
    tab.resize(size)
    tab.emulate("screen", dark)
    tab.frames()
    tab.evaluate(f"{AXE};0")
    found = "axe.run().then(({ violations }) => violations.map(({ id }) => id))"
    assert tab.evaluate(found) == []
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
    tab.resize(DESKTOP)
    tab.emulate("screen")


def test_a_missing_file_is_named(browser: Browser, tmp_path: Path):
    config = traced_run(tmp_path, "reduce", "traces")
    pages = Path(config.out) / "test" / "report" / "traces"
    next(pages.glob("sums/*/q1.js")).unlink()
    page = browser.visit((pages / "sums.html").as_uri() + "#question=sums-1")
    assert "q1.js is missing" in said(page, "#trouble")


def test_without_a_tokenizer_answers_are_shown_alone(browser: Browser, tmp_path: Path):
    config = traced_run(tmp_path, "reduce")
    (tmp_path / "model" / "tokenizer.json").unlink()
    staged(config, "traces")
    pages = Path(config.out) / "test" / "report" / "traces"
    page = browser.visit((pages / "sums.html").as_uri() + "#question=sums-1")
    assert "tokenizer of this model was not at hand" in said(page, "#samples .hint")
    assert texts(page, ".thinking") == []
    assert texts(page, ".answer")[0].startswith("=right")


def files(store: Store) -> set[str]:
    return set(store.folder.names("report/traces"))


def test_traces_made_again_replace_the_earlier_ones(tmp_path: Path):
    config = traced_run(tmp_path, "reduce", "traces")
    store = store_of(config)
    before = files(store)
    staged(config, "traces")
    assert files(store) == before
    staged(config, "traces", traces=Traces(samples=1))
    after = files(store)
    assert before & after == {"report/traces/sums.html"} and len(after) == len(before)


def test_a_page_that_could_not_be_made_leaves_the_earlier_one_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = traced_run(tmp_path, "reduce", "traces")
    store, write = store_of(config), Store.write_text
    before = {name: store.read_bytes(name) for name in files(store)}
    for count in range(len(before)):
        left = [count]

        def failing(self: Store, name: str, text: str, left: list[int] = left) -> None:
            if not left[0]:
                raise KeyboardInterrupt
            left[0] -= 1
            write(self, name, text)

        with monkeypatch.context() as patch:
            patch.setattr(Store, "write_text", failing)
            with pytest.raises(KeyboardInterrupt):
                staged(config, "traces", traces=Traces(samples=1))
        assert {name: store.read_bytes(name) for name in before} == before
    staged(config, "traces", traces=Traces(samples=1))
    (data,) = re.findall(r'name="key" content="(\w+)"', store.read_text("report/traces/sums.html"))
    assert all(f"/{data}/" in name for name in files(store) if name.endswith(".js"))
