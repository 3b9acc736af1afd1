"""The figures of a run: pure functions from one benchmark's results to matplotlib figures.

Four figures that show all scenarios are here: accuracy over memory, over the token budget and over the
number of votes (the last two per model, with the full KV cache), and over the bytes of the KV cache under
each policy. The figures that answer the study's questions are in `study_figures`. No global state is
changed and no date is written, so equal tables give equal bytes.
"""

import io
import itertools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence

import matplotlib
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raysweep.reporting import study_figures
from raysweep.reporting.appearance import (
    LIGHT,
    PolicyStyle,
    model_colours,
    models,
    policies,
    policy_colours,
    policy_styles,
    precisions,
)
from raysweep.reporting.drawing import (
    GREY,
    INK,
    LINES,
    PANEL,
    STYLE,
    accuracy_axis,
    bytes_axis,
    canvas,
    choice_axis,
    heading,
    is_leftmost,
    line_handles,
    memory_handles,
    outside_legend,
    panels_of,
    titled,
)
from raysweep.reporting.inflation_figure import inflation_figure
from raysweep.reporting.results import Point, Results, points_of, weights_column, where
from raysweep.system.content import content_hash

# The legend's entry for what an adaptive run has stopped.
HOLLOW = Line2D([], [], color=GREY, marker="o", mfc="none", ls="", ms=4, label="stopped early")

# More dots than this are drawn as an image within the SVG and PDF.
MANY_DOTS = 3000


def all_figures(results: Results) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Each figure of each benchmark, at the smallest batch size: its file's stem, and its bytes by ending."""
    for benchmark in sorted(results.scenarios.benchmark.unique()):
        own = results.of(benchmark)
        for name in FIGURES:
            if figure := draw(name, own, own.batch_sizes[0]):
                yield f"{file_stem(benchmark)}-{name}", encoded(figure)


def draw(name: str, own: Results, batch_size: int) -> Figure | None:
    """A figure of one benchmark's results; None where these results cannot answer its question."""
    with matplotlib.rc_context(STYLE):
        return FIGURES[name](own, batch_size)


def file_stem(name: str) -> str:
    """A benchmark's name if it is plain, otherwise its plain part and a hash."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "_", name)[:40]
    return plain if plain == name else f"{plain}-{content_hash(name)}"


def encoded(figure: Figure) -> dict[str, bytes]:
    """The figure's bytes by file ending. Equal figures give equal bytes."""
    metadata = {
        "svg": {"Date": None, "Creator": None},
        "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
        "png": {"Software": None},
    }
    with matplotlib.rc_context(STYLE):
        return {ending: _saved(figure, ending, entries) for ending, entries in metadata.items()}


def _saved(figure: Figure, ending: str, metadata: dict) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=ending, metadata=metadata)
    return buffer.getvalue()


def memory_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy over the memory of one question of a batch: every scenario as measured, and the frontier
    with what to expect of it on new questions."""
    scenarios, points = own.scenarios, points_of(where(own.frontier, batch_size=batch_size))
    colours, styles = model_colours(scenarios), policy_styles(policies(scenarios))
    figure, axes = canvas(titled(scenarios, "accuracy by memory"), width=8.0, height=4.6)
    memory = scenarios.weights_bytes / batch_size + scenarios.kv_bytes
    many = len(scenarios) > MANY_DOTS
    for model, policy in itertools.product(colours, styles):
        rows = where(scenarios, model=model, kv_policy=policy)
        marker, colour = styles[policy].marker.matplotlib, colours[model]
        for chosen, look in (
            (rows[rows.stopped_at.isna()], {"color": colour, "lw": 0}),
            (
                rows[rows.stopped_at.notna()],
                {"facecolors": "none", "edgecolors": colour, "lw": 0.7},
            ),
        ):
            x = memory[chosen.index]
            look = {**look, "alpha": 0.35, "rasterized": many}
            axes.scatter(x, chosen.accuracy, s=13, marker=marker, **look)
    _draw_frontier(axes, points, colours, styles)
    accuracy_axis(axes, scenarios.accuracy_hi)
    axes.set_ylabel("Accuracy (dots: measured, line: on new questions)")
    shared = "" if batch_size == 1 else f" / {batch_size}"
    bytes_axis(axes, f"Memory (weights{shared} + KV cache)")
    handles = memory_handles(colours, styles, scenarios)
    if scenarios.stopped_at.notna().any():
        handles += [heading("Hollow"), HOLLOW]
    outside_legend(figure, handles)
    return figure


def _draw_frontier(
    axes: Axes, points: Sequence[Point], colours: dict[str, str], styles: dict[str, PolicyStyle]
) -> None:
    memory = [point.memory_bytes for point in points]
    accuracy = [point.expected for point in points]
    axes.step(memory, accuracy, where="post", color=INK, lw=1.1, zorder=3)
    for point in points:
        axes.errorbar(
            point.memory_bytes,
            point.expected,
            yerr=[[point.expected - point.expected_lo], [point.expected_hi - point.expected]],
            fmt=styles[point.configuration.kv_policy].marker.matplotlib,
            color=colours[point.configuration.model],
            markeredgecolor=INK,
            markeredgewidth=0.8,
            markersize=6,
            elinewidth=1.1,
            zorder=4,
        )


def token_budget_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy of one sample over the token budget, with a line per model and precision."""
    scenarios = own.scenarios
    policy, group = policies(scenarios)[0], scenarios.group_size.min()
    rows = where(scenarios, kv_policy=policy, group_size=group)
    figure, axes = canvas(titled(scenarios, "accuracy by thinking tokens"), width=6.4, height=4.0)
    _draw_lines(axes, rows, "token_budget", model_colours(scenarios))
    accuracy_axis(axes, rows.accuracy_hi)
    choice_axis(axes, rows.token_budget, f"Token budget ({policy} KV, G = {group})")
    outside_legend(figure, line_handles(scenarios))
    return figure


def group_size_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy over the number of parallel samples at the largest token budget; pass@G is dotted."""
    scenarios = own.scenarios
    policy, budget = policies(scenarios)[0], scenarios.token_budget.max()
    rows = where(scenarios, kv_policy=policy, token_budget=budget)
    figure, axes = canvas(titled(scenarios, "accuracy by parallel samples"), width=6.4, height=4.0)
    colours = model_colours(scenarios)
    _draw_lines(axes, rows, "group_size", colours)
    for _, line in rows.sort_values("group_size").groupby("engine_id", sort=False):
        colour = colours[line.model.iloc[0]]
        axes.plot(line.group_size, line.pass_at_g, color=colour, lw=1, ls=":", alpha=0.8)
    accuracy_axis(axes, rows[["accuracy_hi", "pass_at_g"]].max(axis=1))
    choice_axis(axes, rows.group_size, f"Parallel samples G ({policy} KV, {budget:,} tokens)")
    handles = [
        heading("Score"),
        Line2D([], [], color=GREY, marker="o", ms=4, label="majority vote"),
        Line2D([], [], color=GREY, lw=1, ls=":", label="pass@G: any correct"),
    ]
    outside_legend(figure, line_handles(scenarios) + handles)
    return figure


def _draw_lines(axes: Axes, rows: pd.DataFrame, x: str, colours: dict[str, str]) -> None:
    """Draw a line per engine. Those of the most bits have their 95% interval as a band."""
    dashes = dict(zip(precisions(rows), LINES * len(rows), strict=False))
    for _, line in rows.sort_values(x).groupby("engine_id", sort=False):
        colour = colours[line.model.iloc[0]]
        dash = dashes[weights_column(line.head(1))[0].slug]
        if dash == LINES[0]:
            bounds = (line.accuracy_lo, line.accuracy_hi)
            axes.fill_between(line[x], *bounds, color=colour, alpha=0.1, lw=0)
        axes.plot(line[x], line.accuracy, color=colour, ls=dash, lw=1.6)
        going = line.stopped_at.isna()
        for chosen, face in ((line[going], colour), (line[~going], "white")):
            axes.plot(chosen[x], chosen.accuracy, color=colour, ls="", marker="o", ms=4, mfc=face)


def kv_policy_figure(own: Results, batch_size: int) -> Figure | None:
    """Accuracy of one sample over its KV bytes, with a panel per model and a line per policy."""
    scenarios = own.scenarios
    if len(policies(scenarios)) < 2:
        return None
    group, sizes = scenarios.group_size.min(), models(scenarios)
    colours, styles = policy_colours(policies(scenarios), LIGHT), policy_styles(policies(scenarios))
    figure, panels = panels_of(list(sizes))
    title = titled(scenarios, "accuracy by bytes of KV cache")
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    for model, axes in panels.items():
        rows = where(scenarios, model=model, group_size=group)
        for _, line in rows.sort_values("token_budget").groupby("engine_id", sort=False):
            policy = line.kv_policy.iloc[0]
            colour, marker = colours[policy], styles[policy].marker.matplotlib
            axes.plot(line.kv_bytes, line.accuracy, color=colour, marker=marker, ms=4, lw=1.2)
        accuracy_axis(axes, scenarios.accuracy_hi)
        axes.set_ylabel("Accuracy" if is_leftmost(axes) else "")
        bytes_axis(axes, f"KV bytes (G = {group})", inches=PANEL - 0.5)
    outside_legend(figure, _policy_handles(colours, styles))
    return figure


def _policy_handles(colours: dict[str, str], styles: dict[str, PolicyStyle]) -> list[Line2D]:
    lines = [
        Line2D([], [], color=colour, marker=styles[name].marker.matplotlib, ms=4, label=name)
        for name, colour in colours.items()
    ]
    return [heading("KV policy"), *lines]


FIGURES: Mapping[str, Callable[[Results, int], Figure | None]] = {
    "frontier": memory_figure,
    "composition": study_figures.composition_figure,
    "token-budget": token_budget_figure,
    "group-size": group_size_figure,
    "parallel": study_figures.parallel_figure,
    "batches": study_figures.batches_figure,
    "kv-policy": kv_policy_figure,
    "eviction": study_figures.eviction_figure,
    "threshold": study_figures.threshold_figure,
    "inflation": inflation_figure,
}
