"""How long models think with each precision and each KV policy, and how their traces end: a panel per model.

The upper panels show the ratio of thinking tokens to those of the reference, with its 95% interval. The lower
ones show the shares of traces that did not close their thinking. Engines that differ from the reference in
both their precision and their policy are in inflation.parquet alone.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from raysweep.reporting.appearance import models, policies, precisions
from raysweep.reporting.drawing import (
    GREY,
    INK,
    MOST_PANELS,
    PANEL,
    heading,
    is_leftmost,
    outside_legend,
    titled,
)
from raysweep.reporting.inflation_text import UNCLOSED, change
from raysweep.reporting.results import Results, weights_column, where

# The colour of each way in which thinking ends without a close.
COLOURS = dict(zip(UNCLOSED, ("#e08a1e", "#b8508c", "#0072b2", "#5c6169"), strict=True))

# The axis of shares is at least so long, so that a single trace does not fill it.
LEAST_SHARE = 0.01

# Inches of a row of a panel.
ROW = 0.24


def inflation_figure(own: Results, batch_size: int) -> Figure | None:
    """None if no engine has a reference, or nothing but references."""
    rows = own.inflation
    rows = rows.assign(choice=_choices(rows)).dropna(subset=["choice"])
    if rows.engine_id.isin(rows.reference_id).all():
        return None
    order = [name for name in _order(own) if name in set(rows.choice)]
    names = [model for model in models(own.scenarios) if model in set(rows.model)]
    figure, panels = _panels(names, len(order))
    title = titled(own.scenarios, "how long do models think?")
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    for model, (above, below) in panels.items():
        ours = where(rows, model=model).set_index("choice")
        _ratios(above, ours, order)
        _endings(below, ours, order)
        above.set_title(model, pad=6)
        below.set_xlim(0, 1.05 * max(rows[[*UNCLOSED]].sum(axis=1).max(), LEAST_SHARE))
    most = rows.token_budget.iloc[0]
    swatches = [
        Line2D([], [], color=COLOURS[end], lw=6, label=words) for end, words in UNCLOSED.items()
    ]
    outside_legend(figure, [heading(f"Traces of at most {most:,} tokens that"), *swatches])
    return figure


def _choices(rows: pd.DataFrame) -> list[str | None]:
    """The precision or the policy in which each engine differs from its reference; None if it is both.

    A reference is shown under its precision.
    """
    precision = [weights.slug for weights in weights_column(rows)]
    of = dict(zip(rows.engine_id, zip(precision, rows.kv_policy, strict=True), strict=True))
    return [
        own if policy == of[reference][1] else policy if own == of[reference][0] else None
        for own, policy, reference in zip(precision, rows.kv_policy, rows.reference_id, strict=True)
    ]


def _order(own: Results) -> list[str]:
    return [*precisions(own.scenarios), *policies(own.scenarios)]


def _panels(names: Sequence[str], rows: int) -> tuple[Figure, dict[str, tuple[Axes, Axes]]]:
    """For each name a panel of ratios and, below it, one of endings, with so many rows each."""
    columns, bands = min(len(names), MOST_PANELS), -(-len(names) // MOST_PANELS)
    height = bands * (2 * ROW * rows + 1.8) + 0.4
    figure = Figure(figsize=(3.4 + PANEL * columns, height))
    grid = figure.subplots(2 * bands, columns, sharey=True, squeeze=False)
    panels = {}
    for place in range(bands * columns):
        band, column = divmod(place, columns)
        above, below = grid[2 * band : 2 * band + 2, column]
        if place < len(names):
            panels[names[place]] = above, below
        else:
            above.remove()
            below.remove()
    for pair in zip(*panels.values(), strict=True):
        for axes in pair[1:]:
            axes.sharex(pair[0])
    return figure, panels


def _ratios(axes: Axes, rows: pd.DataFrame, order: Sequence[str]) -> None:
    axes.axvline(1, color=GREY, lw=0.8)
    for place, name in enumerate(order):
        if name in rows.index:
            ratio, low, high = rows.loc[name, ["ratio", "ratio_lo", "ratio_hi"]]
            axes.plot([low, high], [place, place], color=INK, lw=1)
            axes.plot([ratio], [place], "o", color=INK, ms=4)
    _choices_axis(axes, order)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda ratio, _: change(ratio, digits=0)))
    axes.set_xlabel("Thinking tokens, against the reference")


def _endings(axes: Axes, rows: pd.DataFrame, order: Sequence[str]) -> None:
    left = pd.Series(0.0, index=order)
    for end, colour in COLOURS.items():
        shares = rows[end].reindex(order).fillna(0.0)
        axes.barh(range(len(order)), shares, left=left, color=colour, height=0.6)
        left = left + shares
    _choices_axis(axes, order)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.set_xlabel("Traces that do not close their thinking")


def _choices_axis(axes: Axes, order: Sequence[str]) -> None:
    axes.set_yticks(range(len(order)), order)
    axes.set_ylim(len(order) - 0.5, -0.5)
    axes.tick_params(axis="y", labelleft=is_leftmost(axes))
    axes.xaxis.set_major_locator(MaxNLocator(3, steps=[1, 2, 5, 10]))
