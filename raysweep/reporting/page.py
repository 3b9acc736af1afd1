"""The report: one self-contained page and the figures, from scenarios, frontier and summary.

The page carries its data as JSON and its libraries inline, so that it opens from a disk, years
later, with no network; a content security policy in it forbids any request. Names from the data reach
it through Jinja's autoescape, or as JSON in which `<` is written `\\u003c`: never as markup.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from raysweep.reporting.appearance import (
    DARK,
    DARK_RAMP,
    LIGHT,
    fill_suffixes,
    model_colours,
    models,
    policies,
    policy_colours,
    policy_styles,
    precisions,
)
from raysweep.reporting.figures import all_figures
from raysweep.reporting.findings import find
from raysweep.reporting.provenance import facts, lead
from raysweep.reporting.results import Results, points_of, read_results
from raysweep.reporting.wording import human_count, percent, tied, weights_label
from raysweep.store import Store

PAGE = "report/index.html"
HERE = Path(__file__).parent

_SHARED_COLUMNS = (
    *("benchmark", "engine_id", "model", "weights", "kv_policy", "token_budget", "group_size"),
    *("accuracy", "accuracy_lo", "accuracy_hi"),
)
SCENARIO_COLUMNS = (
    *_SHARED_COLUMNS,
    *("n_questions", "n_samples", "complete", "pass_at_1", "pass_at_g"),
    *(
        "unanswered",
        "cut_off",
        "errors",
        "mean_trace_tokens",
        "weights_bytes",
        "kv_bytes",
        "kv_peak_bytes",
    ),
)
FRONTIER_COLUMNS = (*_SHARED_COLUMNS, "batch_size", "memory_bytes", "p_on_frontier")


def write_report(store: Store) -> str:
    """Write the page and the figures into the run's folder; where the page is."""
    results = read_results(store)
    store.write_text(PAGE, render(results))
    for stem, encodings in all_figures(results.scenarios, results.frontier):
        for ending, data in encodings.items():
            store.write_bytes(f"figures/{stem}.{ending}", data)
    return store.path(PAGE)


def render(results: Results) -> str:
    """The whole page as HTML."""
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tied"] = tied
    return environment.get_template("page.html.j2").render(
        run=str(results.summary.get("run", "")),
        lead=lead(results.scenarios, results.summary),
        findings=find(points_of(results.frontier)),
        quality=quality(results.scenarios),
        facts=facts(results.summary),
        data=page_data(results),
        css=_own_file("page.css"),
        js=_own_file("page.js"),
        plotly_js=Markup(get_plotlyjs()),
    )


def _own_file(name: str) -> Markup:
    return Markup((HERE / name).read_text())


def page_data(results: Results) -> dict[str, Any]:
    """What page.js draws: the axes of the sweep with their looks, and both tables by column."""
    scenarios, frontier = results.scenarios, results.frontier
    return {
        "benchmarks": sorted(scenarios.benchmark.unique()),
        "batch_sizes": _distinct(frontier.batch_size) or [1],
        "token_budgets": _distinct(scenarios.token_budget),
        "group_sizes": _distinct(scenarios.group_size),
        "models": _model_entries(scenarios),
        "kv_policies": _policy_entries(scenarios),
        "weights": _weight_entries(scenarios),
        "scenarios": _columns(scenarios, SCENARIO_COLUMNS),
        "frontier": _columns(frontier, FRONTIER_COLUMNS),
    }


def _distinct(values: pd.Series) -> list[int]:
    return sorted(values.unique().tolist())


def _model_entries(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    light, dark = model_colours(scenarios), model_colours(scenarios, DARK_RAMP)
    return [
        {"name": name, "params": human_count(size), "light": light[name], "dark": dark[name]}
        for name, size in models(scenarios).items()
    ]


def _policy_entries(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    names = policies(scenarios)
    light, dark = policy_colours(names, LIGHT), policy_colours(names, DARK)
    return [
        {
            "name": name,
            "light": light[name],
            "dark": dark[name],
            "symbol": style.marker.plotly,
            "path": style.marker.svg_path,
            "dash": style.dash.plotly,
            "dash_lengths": " ".join(map(str, style.dash.lengths)) or "none",
        }
        for name, style in policy_styles(names).items()
    ]


def _weight_entries(scenarios: pd.DataFrame) -> list[dict[str, str]]:
    suffixes = fill_suffixes(precisions(scenarios))
    return [{"name": name, "suffix": suffix} for name, suffix in suffixes.items()]


def _columns(table: pd.DataFrame, names: tuple[str, ...]) -> dict[str, list]:
    """Columns as lists of JSON's types; what is not a number is null."""
    pairs = zip(table.weight_method, table.weight_bits, strict=True)
    labelled = table.assign(weights=[weights_label(*pair) for pair in pairs])
    return {name: [_json_value(value) for value in labelled[name].tolist()] for name in names}


def _json_value(value: Any) -> Any:
    is_nan = isinstance(value, float) and value != value
    return None if is_nan else value


@dataclass(frozen=True)
class Quality:
    """How far one model's answers on one benchmark can be used. Shares are of all answers."""

    benchmark: str
    model: str
    questions: int
    fewest_samples: int
    shares: dict[str, tuple[str, str]]  # mean and worst over engines and budgets, in words
    incomplete: int
    scenarios: int


def quality(scenarios: pd.DataFrame) -> list[Quality]:
    """A row for each benchmark and model, models by size."""
    order = list(models(scenarios))
    groups = scenarios.groupby(["benchmark", "model"])
    rows = [_quality(rows) for _, rows in groups]
    return sorted(rows, key=lambda row: (row.benchmark, order.index(row.model)))


def _quality(rows: pd.DataFrame) -> Quality:
    """`rows` are of one benchmark and model."""
    answers = rows.drop_duplicates(["engine_id", "token_budget"])  # shared by all group sizes
    return Quality(
        rows.benchmark.iloc[0],
        rows.model.iloc[0],
        int(rows.n_questions.max()),
        int(rows.n_samples.min()),
        {
            name: _mean_and_worst(answers[name].tolist())
            for name in ("unanswered", "cut_off", "errors")
        },
        int((~rows.complete).sum()),
        len(rows),
    )


def _mean_and_worst(shares: list[float]) -> tuple[str, str]:
    return percent(sum(shares) / len(shares)), percent(max(shares))
