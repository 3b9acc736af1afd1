"""The figures of a run: pure functions from result tables to matplotlib figures.

Three questions a benchmark: what does memory buy (all scenarios, with the frontier over them), what
do thinking tokens buy, what do parallel samples buy (the last two per model, with the full KV cache).
No global state is touched and no date is written, so equal tables give equal bytes.
"""

import io
import itertools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.offsetbox import HPacker
from matplotlib.ticker import (
    FuncFormatter,
    LogLocator,
    NullFormatter,
    NullLocator,
    PercentFormatter,
)

from raysweep.reporting.appearance import (
    PolicyStyle,
    model_colours,
    models,
    policies,
    policy_styles,
    precisions,
)
from raysweep.reporting.results import Point, points_of, where
from raysweep.reporting.wording import human_bytes, human_count, weights_label
from raysweep.spec import content_hash

INK, GREY, GRID = "#1c1e21", "#5c6169", "#e4e6ea"
LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))  # precisions, most bits first
STYLE: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlelocation": "left",
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "figure.constrained_layout.use": True,
    "figure.dpi": 100,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same glyphs on every machine
    "font.size": 9,
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.dpi": 200,
    "svg.hashsalt": "raysweep",  # names the SVG's inner ids, otherwise random
    "text.parse_math": False,  # a $ in a name is a $
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def all_figures(
    scenarios: pd.DataFrame, frontier: pd.DataFrame
) -> Iterator[tuple[str, dict[str, bytes]]]:
    """(file name without ending, bytes for `svg` and `png`) of each figure of each benchmark."""
    for benchmark in sorted(scenarios.benchmark.unique()):
        rows = where(scenarios, benchmark=benchmark)
        points = where(frontier, benchmark=benchmark)
        stem = file_stem(benchmark)
        with matplotlib.rc_context(STYLE):
            yield f"{stem}-frontier", encoded(memory_figure(rows, points))
            yield f"{stem}-token-budget", encoded(token_budget_figure(rows))
            yield f"{stem}-group-size", encoded(group_size_figure(rows))


def file_stem(name: str) -> str:
    """A benchmark's name if it is plain, else its plain part and a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40]
    return plain if plain == name else f"{plain}-{content_hash(name)}"


def encoded(figure: Figure) -> dict[str, bytes]:
    """The figure's bytes by file ending."""
    metadata = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}
    return {ending: _saved(figure, ending, entries) for ending, entries in metadata.items()}


def _saved(figure: Figure, ending: str, metadata: dict) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def memory_figure(scenarios: pd.DataFrame, frontier: pd.DataFrame) -> Figure:
    """Accuracy over memory: every scenario, and the frontier at the smallest batch size.

    Both tables hold one benchmark; memory is bytes for one question at that batch size.
    """
    batch_size = frontier.batch_size.min() if len(frontier) else 1
    points = points_of(where(frontier, batch_size=batch_size))
    colours, styles = model_colours(scenarios), policy_styles(policies(scenarios))
    figure, axes = _canvas(_title(scenarios, "what memory buys"), width=8.0, height=4.6)
    memory = scenarios.weights_bytes / batch_size + scenarios.kv_bytes
    for model, policy in itertools.product(colours, styles):
        rows = where(scenarios, model=model, kv_policy=policy)
        marker, x = styles[policy].marker.matplotlib, memory[rows.index]
        axes.scatter(x, rows.accuracy, s=13, marker=marker, color=colours[model], alpha=0.35, lw=0)
    _draw_frontier(axes, points, colours, styles)
    _accuracy_axis(axes, scenarios.accuracy_hi)
    _memory_axis(axes, batch_size)
    _outside_legend(figure, _memory_handles(colours, styles, scenarios))
    return figure


def _draw_frontier(
    axes: Axes, points: Sequence[Point], colours: dict[str, str], styles: dict[str, PolicyStyle]
) -> None:
    memory = [point.memory_bytes for point in points]
    accuracy = [point.accuracy for point in points]
    axes.step(memory, accuracy, where="post", color=INK, lw=1.1, zorder=3)
    for point in points:
        axes.errorbar(
            point.memory_bytes,
            point.accuracy,
            yerr=[[point.accuracy - point.accuracy_lo], [point.accuracy_hi - point.accuracy]],
            fmt=styles[point.kv_policy].marker.matplotlib,
            color=colours[point.model],
            markeredgecolor=INK,
            markeredgewidth=0.8,
            markersize=6,
            elinewidth=1.1,
            zorder=4,
        )


def token_budget_figure(scenarios: pd.DataFrame) -> Figure:
    """Accuracy of one sample over the token budget, a line per model and precision."""
    policy, group = policies(scenarios)[0], scenarios.group_size.min()
    rows = where(scenarios, kv_policy=policy, group_size=group)
    figure, axes = _canvas(_title(scenarios, "what thinking tokens buy"), width=6.4, height=4.0)
    _draw_lines(axes, rows, "token_budget", model_colours(scenarios))
    _accuracy_axis(axes, rows.accuracy_hi)
    _doubling_axis(axes, rows.token_budget, f"Token budget ({policy} KV, G = {group})")
    _outside_legend(figure, _line_handles(scenarios))
    return figure


def group_size_figure(scenarios: pd.DataFrame) -> Figure:
    """Accuracy over the number of parallel samples at the largest token budget; pass@G dotted."""
    policy, budget = policies(scenarios)[0], scenarios.token_budget.max()
    rows = where(scenarios, kv_policy=policy, token_budget=budget)
    figure, axes = _canvas(_title(scenarios, "what parallel samples buy"), width=6.4, height=4.0)
    colours = model_colours(scenarios)
    _draw_lines(axes, rows, "group_size", colours)
    for _, line in rows.sort_values("group_size").groupby("engine_id", sort=False):
        colour = colours[line.model.iloc[0]]
        axes.plot(line.group_size, line.pass_at_g, color=colour, lw=1, ls=":", alpha=0.8)
    _accuracy_axis(axes, rows[["accuracy_hi", "pass_at_g"]].max(axis=1))
    _doubling_axis(axes, rows.group_size, f"Parallel samples G ({policy} KV, {budget:,} tokens)")
    handles = [
        _heading("Score"),
        Line2D([], [], color=GREY, marker="o", ms=4, label="majority vote"),
        Line2D([], [], color=GREY, lw=1, ls=":", label="pass@G: any right"),
    ]
    _outside_legend(figure, _line_handles(scenarios) + handles)
    return figure


def _draw_lines(axes: Axes, rows: pd.DataFrame, x: str, colours: dict[str, str]) -> None:
    """A line per engine; those of the most bits have their 95% interval as a band."""
    dashes = dict(zip(precisions(rows), LINES * len(rows), strict=False))
    for _, line in rows.sort_values(x).groupby("engine_id", sort=False):
        colour = colours[line.model.iloc[0]]
        dash = dashes[weights_label(line.weight_method.iloc[0], line.weight_bits.iloc[0])]
        if dash == LINES[0]:
            bounds = (line.accuracy_lo, line.accuracy_hi)
            axes.fill_between(line[x], *bounds, color=colour, alpha=0.1, lw=0)
        axes.plot(line[x], line.accuracy, color=colour, ls=dash, marker="o", ms=4, lw=1.6)


def _canvas(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one set of axes; sizes in inches."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(title, pad=10)
    return figure, axes


def _title(scenarios: pd.DataFrame, question: str) -> str:
    return f"{scenarios.benchmark.iloc[0]}: {question}"


def _accuracy_axis(axes: Axes, highs: pd.Series) -> None:
    axes.set_ylabel("Accuracy")
    axes.set_ylim(0, min(1.02, 1.05 * highs.max()))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def _memory_axis(axes: Axes, batch_size: int) -> None:
    shared = "" if batch_size == 1 else f" / {batch_size}"
    axes.set_xlabel(f"Memory (weights{shared} + KV cache), log scale")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _doubling_axis(axes: Axes, values: pd.Series, label: str) -> None:
    axes.set_xlabel(label)
    axes.set_xscale("log", base=2)
    axes.set_xticks(sorted(values.unique()))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _memory_handles(
    colours: dict[str, str], styles: dict[str, PolicyStyle], scenarios: pd.DataFrame
) -> list[Line2D]:
    markers = {name: style.marker.matplotlib for name, style in styles.items()}
    shapes = [
        Line2D([], [], color=GREY, ls="", marker=marker, ms=5, label=name)
        for name, marker in markers.items()
    ]
    frontier = Line2D([], [], color=INK, lw=1.1, marker="o", mfc="white", label="with 95% interval")
    return [
        *_model_handles(colours, scenarios),
        *(_heading("KV policy"), *shapes),
        *(_heading("Frontier"), frontier),
    ]


def _line_handles(scenarios: pd.DataFrame) -> list[Line2D]:
    labels = precisions(scenarios)
    dashes = zip(labels, LINES * len(labels), strict=False)
    kinds = [Line2D([], [], color=GREY, ls=dash, label=label) for label, dash in dashes]
    handles = _model_handles(model_colours(scenarios), scenarios)
    return handles + ([_heading("Weights"), *kinds] if len(kinds) > 1 else [])


def _model_handles(colours: dict[str, str], scenarios: pd.DataFrame) -> list[Line2D]:
    sizes = models(scenarios)
    swatches = [
        Line2D([], [], color=colour, lw=3, label=f"{name} ({human_count(sizes[name])})")
        for name, colour in colours.items()
    ]
    return [_heading("Model (parameters)"), *swatches]


def _heading(text: str) -> Line2D:
    return Line2D([], [], ls="", label=text)


def _is_heading(handle: Line2D) -> bool:
    return handle.get_linestyle() == "None" and handle.get_marker() == "None"


def _outside_legend(figure: Figure, handles: list[Line2D]) -> None:
    """One legend to the right of the axes; entries without a mark are its headings."""
    legend = figure.legend(handles=handles, loc="outside right upper", handlelength=1.8)
    texts = zip(handles, legend.get_texts(), strict=True)
    headings = [text for handle, text in texts if _is_heading(handle)]
    for text in headings:
        text.set_fontweight("bold")
    for entry in legend.findobj(HPacker):
        mark, *label = entry.get_children()
        if len(label) == 1 and any(text in headings for text in label[0].get_children()):
            mark.set_visible(False)  # the heading moves to the left edge
