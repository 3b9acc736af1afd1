"""Texts of others stay texts: in the page, in its tables, in the terminal, in errors."""

import csv
import io
import json
import re
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console
from support import result_tables
from support.browser import Browser, Page
from support.nouns import a_run_config
from support.report_page import texts

from raysweep.errors import ConfigError, StorageError
from raysweep.reporting.page import render
from raysweep.reporting.terminal import frontier_table
from raysweep.stages.context import Context
from raysweep.stages.folder_view import FolderView
from raysweep.storage.store import Store
from raysweep.system.safe_text import printable

HOSTILE = "</script><script>document.body.dataset.error='xss'</script><img src=x onerror=alert(1)>"
ESCAPES = "\x1b[2Jgone\x1b]0;title\x07\r\x08\u202eevil\u2028"


def test_markup_in_any_name_or_fact_is_text_in_the_page(browser: Browser):
    named = result_tables.results(
        model=HOSTILE, kv_policy=HOSTILE, benchmark=HOSTILE, engine_id=HOSTILE
    )
    summary = {
        **named.summary,
        "run": HOSTILE,
        "git_revision": HOSTILE,
        "versions": {HOSTILE: HOSTILE},
        "incomplete": {HOSTILE: 3},
        "samples_missing": 3,
        "warnings": [HOSTILE],
        "parts_set_aside": [HOSTILE],
        "finishes": {HOSTILE: 1},
    }
    page = browser.open(render(replace(named, summary=summary)), name="hostile-facts")
    assert page.evaluate("document.querySelectorAll('img').length") == 0
    assert page.evaluate("document.body.dataset.error ?? null") is None
    assert page.troubles == []
    assert any(HOSTILE in said for said in texts(page, "body"))


def test_the_page_holds_no_traces_and_no_questions():
    """Only names and numbers: what a model wrote, or a benchmark asks, is not in it."""
    from raysweep.reporting.page_data import page_data

    keys = set(re.findall(r'"(\w+)":', json.dumps(page_data(result_tables.results()))))
    assert not keys & {"text", "prompt", "gold", "answer", "trace", "token_ids"}


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", '=HYPERLINK("http://x","y")']


@pytest.mark.parametrize("formula", FORMULAS)
def test_a_formula_in_a_name_is_no_formula_in_csv(page: Page, formula: str):
    columns = "[{ name: 'n', value: (row) => row }, { name: 'x', value: () => -0.5 }]"
    text = page.evaluate(f"csvOf({columns}, [{json.dumps(formula)}])")
    (_, row) = csv.reader(io.StringIO(text, newline=""))
    assert row == [f"'{formula}", "-0.5"]


def test_control_characters_are_printed_as_what_they_are():
    said = printable(ESCAPES)
    assert said == r"\x1b[2Jgone\x1b]0;title\x07\r\x08\u202eevil\u2028"
    assert printable("Käse – 測試 ✓") == "Käse – 測試 ✓"
    assert printable("two\n\tlines\x1b", lines=True) == "two\n\tlines\\x1b"


def printed(print_it: Any) -> str:
    console = Console(file=io.StringIO(), force_terminal=True, width=300, color_system=None)
    print_it(console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_no_stage_prints_control_characters_of_others():
    def say(console: Console) -> None:
        config, store = a_run_config(), Store("runs")
        run = Context(config, {}, store, console, FolderView(config, store))
        run.say("failed", f"shard of {ESCAPES} [red]markup[/red]")

    said = printed(say)
    assert "\x1b" not in said and "\x07" not in said and "[red]markup[/red]" in said


def test_no_table_in_the_terminal_holds_control_characters_of_others():
    rows = result_tables.results(model=ESCAPES, benchmark=ESCAPES).frontier
    said = printed(lambda console: console.print(frontier_table(rows, ESCAPES, 1, 375)))
    assert "\x1b[2J" not in said and r"\x1b[2J" in said


@pytest.mark.parametrize("kind", [ConfigError, StorageError])
def test_no_error_holds_control_characters_or_secrets_of_others(kind: type[Exception]):
    said = str(kind(f"out: 's3://key:sesame@bucket?token=sesame' and {ESCAPES}"))
    assert "\x1b" not in said and "\u202e" not in said and "sesame" not in said
