"""The report: one self-contained page and the figures, from what `reduce` wrote.

The page holds its data as packed JSON and its scripts inline, so that it opens from a disk, years later,
without a network. Its content security policy forbids any request. Names from the data reach it through
Jinja's autoescape, or as JSON that the scripts write as text. They are never markup.
"""

import base64
import gzip
import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from raysweep.reporting.adaptive_page import adaptive_section
from raysweep.reporting.controls import comparisons, overview
from raysweep.reporting.correlation_text import shared_luck
from raysweep.reporting.doubts import doubts
from raysweep.reporting.drawn_figures import write_figures
from raysweep.reporting.findings import find
from raysweep.reporting.inflation_text import UNCLOSED, inflations
from raysweep.reporting.page_data import page_data
from raysweep.reporting.provenance import facts, lead
from raysweep.reporting.quality import gaps, notes, quality
from raysweep.reporting.results import Results
from raysweep.reporting.verdict_table import HOW, Said, verdicts
from raysweep.storage.result_files import PAGE
from raysweep.storage.store import Store
from raysweep.system.linear_algebra import linear_algebra_on_one_thread
from raysweep.system.quantities import tied

WEB = Path(__file__).parent / "web"
SCRIPTS = ("words.js", "sums.js", "chart.js", "tables.js", "figures.js", "page.js")


def write_report(results: Results, store: Store) -> str:
    """Write the page, and the figures that have changed, and return the page's address."""
    with linear_algebra_on_one_thread():
        store.write_text(PAGE, render(results))
    write_figures(results, store)
    return store.path(PAGE)


def render(results: Results) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(WEB),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tied"] = tied
    data, compared = page_data(results), comparisons(results.controls)
    return environment.get_template("page.html.j2").render(
        run=str(results.summary.get("run", "")),
        lead=lead(results.scenarios, results.summary),
        findings=find(results),
        verdicts=_verdicts(results),
        how_verdicts=HOW,
        gaps=gaps(results.summary),
        doubts=doubts(results.scenarios),
        adaptive=adaptive_section(results.summary),
        luck=shared_luck(results.correlations),
        quality_notes=notes(results.summary),
        comparisons=compared,
        comparisons_say=overview(compared),
        inflations=inflations(results.summary),
        unclosed=UNCLOSED,
        quality=quality(results.scenarios),
        facts=facts(results.scenarios, results.summary),
        data=data,
        packed=packed(data),
        css=_own_file("page.css"),
        scripts=[_own_file(name) for name in SCRIPTS],
    )


def _verdicts(results: Results) -> dict[str, list[Said]]:
    """By benchmark, at the smallest batch size of the run."""
    names = results.findings.benchmark.unique().tolist()
    return {name: verdicts(results, name, results.batch_sizes[0]) for name in names}


def packed(data: Any) -> str:
    """Data as the page's scripts unpack it: JSON, gzip, base64. Equal data give equal text."""
    text = json.dumps(data, separators=(",", ":"), allow_nan=False)
    return base64.b64encode(gzip.compress(text.encode(), mtime=0)).decode()


def _own_file(name: str) -> Markup:
    return Markup((WEB / name).read_text())
