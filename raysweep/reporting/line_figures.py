"""The figures with a line per engine: accuracy over the token budget, the number of votes, and the KV bytes.

The first two have the full KV cache, the last all policies at one precision. Where a set of axes would hold
more than some ten engines, each model has a panel of its own.
"""

from collections.abc import Mapping, Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from raysweep.frontier import frontier_points
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
    LINES,
    MOST_TOGETHER,
    PANEL,
    accuracy_axis,
    bytes_axis,
    canvas,
    choice_axis,
    heading,
    is_leftmost,
    line_handles,
    of_precision,
    outside_legend,
    panels_of,
    titled,
)
from raysweep.reporting.results import Results, weights_column, where


def token_budget_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy of one sample over the token budget, with a line per model and precision."""
    scenarios = own.scenarios
    policy, group = policies(scenarios)[0], scenarios.group_size.min()
    rows = where(scenarios, kv_policy=policy, group_size=group)
    figure, panels = _panels(rows, titled(scenarios, "accuracy by thinking tokens"))
    for axes, part in panels:
        _draw_lines(axes, part, "token_budget", model_colours(scenarios), precisions(rows))
        accuracy_axis(axes, rows.accuracy_hi)
        _unlabelled_inside(axes)
        choice_axis(axes, rows.token_budget, f"Token budget ({policy} KV, G = {group})")
    outside_legend(figure, line_handles(rows))
    return figure


def group_size_figure(own: Results, batch_size: int) -> Figure:
    """Accuracy over the number of parallel samples at the largest token budget; pass@G is dotted."""
    scenarios = own.scenarios
    policy, budget = policies(scenarios)[0], scenarios.token_budget.max()
    rows = where(scenarios, kv_policy=policy, token_budget=budget)
    figure, panels = _panels(rows, titled(scenarios, "accuracy by parallel samples"))
    colours = model_colours(scenarios)
    for axes, part in panels:
        _draw_lines(axes, part, "group_size", colours, precisions(rows))
        for _, line in part.sort_values("group_size").groupby("engine_id", sort=False):
            colour = colours[line.model.iloc[0]]
            axes.plot(line.group_size, line.pass_at_g, color=colour, lw=1, ls=":", alpha=0.8)
        accuracy_axis(axes, rows[["accuracy_hi", "pass_at_g"]].max(axis=1))
        _unlabelled_inside(axes)
        choice_axis(axes, rows.group_size, f"Parallel samples G ({policy} KV, {budget:,} tokens)")
    handles = [
        heading("Score"),
        Line2D([], [], color=GREY, marker="o", ms=4, label="majority vote"),
        Line2D([], [], color=GREY, lw=1, ls=":", label="pass@G: any correct"),
    ]
    outside_legend(figure, line_handles(rows) + handles)
    return figure


def _panels(rows: pd.DataFrame, title: str) -> tuple[Figure, list[tuple[Axes, pd.DataFrame]]]:
    """One set of axes with all rows; of many engines, one for each model."""
    if rows.engine_id.nunique() <= MOST_TOGETHER or rows.model.nunique() == 1:
        figure, axes = canvas(title, width=6.4, height=4.0)
        return figure, [(axes, rows)]
    figure, panels = panels_of(list(models(rows)))
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    return figure, [(axes, where(rows, model=model)) for model, axes in panels.items()]


def _unlabelled_inside(axes: Axes) -> None:
    axes.set_ylabel("Accuracy" if is_leftmost(axes) else "")


def _draw_lines(
    axes: Axes, rows: pd.DataFrame, x: str, colours: Mapping[str, str], kinds: Sequence[str]
) -> None:
    """Draw a line per engine. Those of the most bits have their 95% interval as a band.

    kinds  the precisions of the figure, most bits first
    """
    dashes = dict(zip(kinds, LINES * len(kinds), strict=False))
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
    """Estimated accuracy of one sample over its KV bytes, with a panel per model and a line per policy.

    A line has the best of a policy within each number of bytes. An evicting policy holds about the same
    bytes at all larger budgets, and a line through all of them would go up and down at one place.
    """
    scenarios = own.scenarios
    if len(policies(scenarios)) < 2:
        return None
    group, names = scenarios.group_size.min(), policies(scenarios)
    rows, weights = of_precision(where(scenarios, group_size=group))
    rows = rows.loc[rows.estimate.notna()]
    colours, styles = policy_colours(names, LIGHT), policy_styles(names)
    figure, panels = panels_of([model for model in models(scenarios) if model in set(rows.model)])
    title = titled(scenarios, f"accuracy by bytes of KV cache{weights}")
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    for model, axes in panels.items():
        for _, line in where(rows, model=model).groupby("engine_id", sort=False):
            _draw_best(axes, line, colours, styles)
        accuracy_axis(axes, rows.estimate)
        axes.set_ylabel("Accuracy (estimate)" if is_leftmost(axes) else "")
        bytes_axis(axes, f"KV bytes (G = {group})", inches=PANEL - 0.5)
    drawn = [name for name in names if name in set(rows.kv_policy)]
    outside_legend(figure, _policy_handles(drawn, colours, styles))
    return figure


def _draw_best(
    axes: Axes, line: pd.DataFrame, colours: dict[str, str], styles: dict[str, PolicyStyle]
) -> None:
    """One engine's points for which no other of it has as good an estimate in as few KV bytes."""
    best = line.iloc[frontier_points(line.kv_bytes.to_numpy(float), line.estimate.to_numpy(float))]
    policy = best.kv_policy.iloc[0]
    look = {"marker": styles[policy].marker.matplotlib, "ms": 4, "ls": _dash(styles[policy])}
    axes.plot(best.kv_bytes, best.estimate, color=colours[policy], lw=1.2, **look)


def _dash(style: PolicyStyle) -> tuple[int, tuple[int, ...]] | str:
    return (0, style.dash.lengths) if style.dash.lengths else "-"


def _policy_handles(
    names: Sequence[str], colours: dict[str, str], styles: dict[str, PolicyStyle]
) -> list[Line2D]:
    lines = [
        Line2D(
            *([], []),
            color=colours[name],
            marker=styles[name].marker.matplotlib,
            ms=4,
            ls=_dash(styles[name]),
            label=name,
        )
        for name in names
    ]
    return [heading("KV policy"), *lines]
