"""The figures that answer the study's questions: the answers of `study` and `threshold`, drawn.

Each is for one benchmark and a batch size. It is None where the scenarios cannot answer its question.
"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator, PercentFormatter

from raysweep.analysis import study
from raysweep.analysis.candidates import Candidates
from raysweep.reporting.appearance import (
    LIGHT,
    PARALLEL,
    PRECISION_RAMPS,
    SERIAL,
    model_colours,
    models,
    policies,
    policy_styles,
    precisions,
    ramp,
)
from raysweep.reporting.drawing import (
    GREY,
    INK,
    MOST_TOGETHER,
    PANEL,
    accuracy_axis,
    bytes_axis,
    canvas,
    drawn_handles,
    heading,
    is_leftmost,
    outside_legend,
    panels_of,
    titled,
)
from raysweep.reporting.findings import memory_points
from raysweep.reporting.results import Results, where
from raysweep.reporting.threshold_words import is_of, threshold_in_words
from raysweep.system.quantities import human_bytes

SIDES = {"parallel": "votes (number: G)", "serial": "one sample", "neither": "not decided"}
FAVOURS = {"parallel": PARALLEL[LIGHT], "serial": SERIAL[LIGHT], "neither": GREY}


def composition_figure(own: Results, batch_size: int) -> Figure | None:
    """What the frontier's configurations are made of, over memory, with a panel per choice."""
    rows = _asked(study.composition, own, batch_size)
    if rows.empty:
        return None
    colours, styles = model_colours(own.scenarios), policy_styles(policies(own.scenarios))
    names = [name for name in policies(own.scenarios) if name in set(rows.kv_policy)]
    rows = rows.assign(policy_place=rows.kv_policy.map(names.index))
    figure = Figure(figsize=(8.6, 5.6))
    panels = figure.subplots(2, 2, sharex=True).ravel()
    figure.suptitle(
        titled(own.scenarios, "what the frontier is made of"), x=0.01, ha="left", weight="bold"
    )
    columns = {
        "weights_bytes": "Effective size",
        "token_budget": "Token budget",
        "group_size": "Samples that vote, G",
        "policy_place": "KV policy",
    }
    for axes, (column, title) in zip(panels, columns.items(), strict=True):
        axes.step(rows.memory_bytes, rows[column], where="post", color=GREY, lw=0.7)
        for row in rows.to_dict("records"):
            marker, colour = styles[row["kv_policy"]].marker.matplotlib, colours[row["model"]]
            axes.plot(row["memory_bytes"], row[column], marker, color=colour, ms=5)
        axes.set_title(title, pad=4, fontsize=9)
        bytes_axis(axes, "Memory per question", inches=2.6)
        axes.set_xlabel(axes.get_xlabel() if axes in panels[2:] else "")
        _values_axis(axes, rows[column].tolist(), column, names)
    outside_legend(figure, drawn_handles(colours, styles, _scenarios_of(rows, own)))
    return figure


def _scenarios_of(rows: pd.DataFrame, own: Results) -> pd.DataFrame:
    """The scenarios of the engines that are drawn, which have the sizes of their models."""
    return own.scenarios.loc[own.scenarios.engine_id.isin(set(rows.engine_id))]


def _values_axis(axes: Axes, values: list[int], column: str, names: list[str]) -> None:
    """Make the y axis one of names, of bytes, or of numbers that each have a tick."""
    if column == "policy_place":
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.5, len(names) - 0.5)
        return
    axes.set_yscale("log")
    is_bytes = column == "weights_bytes"
    axes.yaxis.set_major_locator(
        LogLocator(subs=(1, 2, 5)) if is_bytes else FixedLocator(sorted(set(values)))
    )
    label_of = human_bytes if is_bytes else "{:,.0f}".format
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: label_of(value)))
    axes.yaxis.set_minor_locator(NullLocator())


def parallel_figure(own: Results, batch_size: int) -> Figure | None:
    """The best of one sample and the best that votes, over memory, and the difference between them."""
    rows = _asked(study.parallel_scaling, own, batch_size)
    if rows.empty:
        return None
    figure = Figure(figsize=(7.4, 5.4))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1.2))
    above.set_title(titled(own.scenarios, "vote, or think longer?"), pad=10)
    for side in ("serial", "parallel"):
        best = rows[f"{side}_estimate"]
        above.step(rows.memory_bytes, best, where="post", color=FAVOURS[side], lw=1.6)
    accuracy_axis(above, rows[["serial_estimate", "parallel_estimate"]].max(axis=1))
    above.set_ylabel("Accuracy (estimate)")
    for favours, colour in FAVOURS.items():
        _differences(below, where(rows, favours=favours), colour)
    _label_groups(below, where(rows, favours="parallel"))
    _difference_axis(below, "Votes better by")
    bytes_axis(below, "Memory per question")
    handles = [
        Line2D([], [], color=FAVOURS[side], marker="o", ms=4, label=label)
        for side, label in SIDES.items()
    ]
    outside_legend(figure, [heading("Best within the memory"), *handles])
    return figure


def _label_groups(axes: Axes, rows: pd.DataFrame) -> None:
    """Write G above each interval."""
    for row in rows.to_dict("records"):
        axes.annotate(
            str(row["parallel_group_size"]),
            (row["memory_bytes"], row["difference_hi"]),
            textcoords="offset points",
            xytext=(0, 4),
            ha="center",
            fontsize=7,
        )


def batches_figure(own: Results, batch_size: int) -> Figure | None:
    """Estimated accuracy against the number of questions that fit a device at once: the frontier of both, for
    a few sizes of device."""
    candidates = _only(own)
    if candidates is None:
        return None
    totals = (candidates.weights_bytes + candidates.kv_bytes).tolist()
    devices = memory_points(totals, 4)
    figure, axes = canvas(titled(own.scenarios, "questions at once, and their accuracy"), 7.4, 4.4)
    shades = [
        str(round(0.75 - 0.75 * i / max(1, len(devices) - 1), 2)) for i in range(len(devices))
    ]
    colours, styles = model_colours(own.scenarios), policy_styles(policies(own.scenarios))
    drawn = []
    for memory_bytes, shade in zip(devices, shades, strict=True):
        found = pd.DataFrame(study.theoretical_batches(candidates, memory_bytes))
        best = where(found, on_frontier=True).sort_values("batch_size")
        axes.step(best.batch_size, best.estimate, where="pre", color=shade, lw=1)
        drawn.append(best)
        for row in best.to_dict("records"):
            marker = styles[row["kv_policy"]].marker.matplotlib
            axes.plot(row["batch_size"], row["estimate"], marker, color=colours[row["model"]], ms=5)
    accuracy_axis(axes, own.scenarios.accuracy)
    axes.set_ylabel("Accuracy (estimate)")
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.set_xlabel("Questions at once, log scale")
    lines = [
        Line2D([], [], color=shade, lw=1.4, label=human_bytes(memory_bytes))
        for memory_bytes, shade in zip(devices, shades, strict=True)
    ]
    handles = drawn_handles(colours, styles, _scenarios_of(pd.concat(drawn), own))
    outside_legend(figure, [heading("Memory of the device"), *lines, *handles])
    return figure


def eviction_figure(own: Results, batch_size: int) -> Figure | None:
    """How much better evicting is than fewer bits at equal memory, per model.

    Few models and precisions are drawn all, coloured by precision. Of many, those of the most bits are drawn.
    """
    rows = _asked(study.eviction_or_bits, own, batch_size)
    if rows.empty:
        return None
    kinds = [kind for kind in precisions(own.scenarios) if kind in set(rows.weights)]
    weights = ""
    if len(kinds) > 1 and len(rows[["model", "weights"]].drop_duplicates()) > MOST_TOGETHER:
        kinds, weights = kinds[:1], f" ({kinds[0]} weights)"
        rows = where(rows, weights=kinds[0])
    colours = dict(zip(kinds, ramp(PRECISION_RAMPS[LIGHT], len(kinds)), strict=True))
    figure, panels = panels_of(
        [model for model in models(own.scenarios) if model in set(rows.model)]
    )
    title = titled(own.scenarios, f"evict tokens, or store fewer bits?{weights}")
    figure.suptitle(title, x=0.01, ha="left", weight="bold")
    for model, axes in panels.items():
        for kind, colour in colours.items():
            _differences(axes, where(rows, model=model, weights=kind), colour)
        _difference_axis(axes, "Evicting better by" if is_leftmost(axes) else "")
        bytes_axis(axes, "Memory per question", inches=PANEL - 0.5)
    handles = [Line2D([], [], color=colours[kind], marker="o", ms=4, label=kind) for kind in kinds]
    outside_legend(figure, [heading("Weights"), *handles])
    return figure


def threshold_figure(own: Results, batch_size: int) -> Figure | None:
    """How much better more weights are than more tokens at each effective size, and the threshold."""
    rows = where(own.thresholds, batch_size=batch_size)
    if rows.empty:
        return None
    found = own.summary.get("thresholds", [])
    (threshold,) = [one for one in found if is_of(one, own, batch_size)] or [None]
    figure, axes = canvas(titled(own.scenarios, "more weights, or more tokens?"), 7.0, 4.2)
    if threshold and threshold["decided"]:
        axes.axvspan(
            threshold["weights_bytes_lo"],
            threshold["weights_bytes_hi"],
            color=INK,
            alpha=0.08,
            lw=0,
        )
        axes.axvline(threshold["weights_bytes"], color=INK, lw=1, ls="--")
    _intervals(axes, rows.weights_bytes, rows.advantage, rows.advantage_lo, rows.advantage_hi, INK)
    axes.plot(rows.weights_bytes, rows.advantage, color=GREY, lw=0.8, zorder=1)
    _difference_axis(axes, "Weights better by")
    bytes_axis(axes, "Effective size (bytes of the weights)")
    if threshold:
        figure.supxlabel(threshold_in_words(threshold), fontsize=8, color=GREY, x=0.01, ha="left")
    return figure


def _only(own: Results) -> Candidates | None:
    return next(iter(own.candidates.values()), None)


def _asked(question, own: Results, batch_size: int) -> pd.DataFrame:
    """The answer to a question of the study, as a table; empty if the scenarios cannot answer it."""
    candidates = _only(own)
    return pd.DataFrame(question(candidates, batch_size) if candidates is not None else [])


def _differences(axes: Axes, rows: pd.DataFrame, colour: str) -> None:
    values = (rows.difference, rows.difference_lo, rows.difference_hi)
    _intervals(axes, rows.memory_bytes, *values, colour)


def _intervals(
    axes: Axes, x: pd.Series, mean: pd.Series, low: pd.Series, high: pd.Series, colour: str
) -> None:
    look = {"fmt": "o", "ms": 4, "lw": 1, "color": colour}
    axes.errorbar(x, mean, yerr=[mean - low, high - mean], **look)


def _difference_axis(axes: Axes, label: str) -> None:
    axes.axhline(0, color=GREY, lw=0.8)
    axes.set_ylabel(label)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
