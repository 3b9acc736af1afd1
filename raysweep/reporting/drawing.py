"""What all figures share: canvas, axes, legend and style."""

import itertools
import math
from collections.abc import Iterable, Sequence
from typing import Any

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

from raysweep.reporting.appearance import PolicyStyle, model_colours, models, precisions
from raysweep.reporting.results import weights_column
from raysweep.system.quantities import human_bytes, human_count

# At most this many panels stand side by side. A panel is this many inches wide.
MOST_PANELS, PANEL = 4, 3.2

# With more engines than this on a set of axes, each model has a panel of its own, and panels of many policies
# show one precision.
MOST_TOGETHER = 10

# The ticks within a power of ten, from many to few.
MANTISSAS = ((1, 2, 5), (1, 3), (1,))

# An axis is logarithmic if each value exceeds the one before by this factor.
LEAST_FACTOR = 1.25

# The labels of an axis have at most this many letters in all; more are thinned out.
MOST_LETTERS = 40

# Inches of a line of the legend.
LEGEND_LINE = 0.19
INK, GREY, GRID = "#1c1e21", "#5c6169", "#e4e6ea"

# The lines of precisions, most bits first.
LINES = ("-", (0, (5, 2)), (0, (1.5, 1.5)), (0, (6, 2, 1.5, 2)))
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
    # This font comes with matplotlib, so every machine has the same glyphs.
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "grid.color": GRID,
    "legend.frameon": False,
    "savefig.dpi": 200,
    # Without a salt, the ids within an SVG would be random.
    "svg.hashsalt": "raysweep",
    # A $ in a name is a $.
    "text.parse_math": False,
    "xtick.color": GREY,
    "ytick.color": GREY,
}


def canvas(title: str, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one set of axes; sizes in inches."""
    figure = Figure(figsize=(width, height))
    axes = figure.add_subplot()
    axes.set_title(title, pad=10)
    return figure, axes


def titled(scenarios: pd.DataFrame, question: str) -> str:
    return f"{scenarios.benchmark.iloc[0]}: {question}"


def accuracy_axis(axes: Axes, highs: pd.Series) -> None:
    axes.set_ylabel("Accuracy")
    axes.set_ylim(0, min(1.02, 1.05 * highs.max()))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))


def bytes_axis(axes: Axes, label: str, inches: float = 5.0) -> None:
    """Make the x axis one of bytes. Call it after drawing; `inches` is the axis' rough length."""
    low, high = axes.get_xlim() if axes.get_xscale() == "log" else axes.dataLim.intervalx
    decades = math.log10(max(high / low, 1.1))
    labels = next((set_ for set_ in MANTISSAS if decades * len(set_) <= inches / 0.7), (1,))
    axes.set_xlabel(f"{label}, log scale")
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=labels))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: human_bytes(value)))
    axes.xaxis.set_minor_formatter(NullFormatter())


def choice_axis(axes: Axes, values: pd.Series, label: str) -> None:
    """Make the x axis one of a choice's values: logarithmic if they grow by factors, else linear."""
    ticks = sorted(values.unique())
    axes.set_xlabel(label)
    if grows_by_factors(ticks):
        axes.set_xscale("log", base=2)
        axes.xaxis.set_minor_locator(NullLocator())
    labels = [f"{value:,}" for value in ticks]
    every = 1 + sum(map(len, labels)) // MOST_LETTERS
    axes.set_xticks(ticks, [label if i % every == 0 else "" for i, label in enumerate(labels)])


def grows_by_factors(values: Iterable[float]) -> bool:
    """Whether an axis of these values should be logarithmic."""
    distinct = sorted(set(values))
    return all(after / before > LEAST_FACTOR for before, after in itertools.pairwise(distinct))


def of_precision(rows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """The rows of few engines; of many those of the most bits, and words that say so for a title."""
    kinds = precisions(rows)
    if rows.engine_id.nunique() <= MOST_TOGETHER or len(kinds) == 1:
        return rows, ""
    slugs = [weights.slug for weights in weights_column(rows)]
    return rows.loc[[slug == kinds[0] for slug in slugs]], f" ({kinds[0]} weights)"


def drawn_handles(
    colours: dict[str, str], styles: dict[str, PolicyStyle], rows: pd.DataFrame
) -> list[Line2D]:
    """The models and policies of the rows that are drawn, in the order of `colours` and `styles`."""
    models_drawn, policies_drawn = set(rows.model), set(rows.kv_policy)
    return memory_handles(
        {name: colour for name, colour in colours.items() if name in models_drawn},
        {name: style for name, style in styles.items() if name in policies_drawn},
        rows,
    )[:-2]


def memory_handles(
    colours: dict[str, str], styles: dict[str, PolicyStyle], scenarios: pd.DataFrame
) -> list[Line2D]:
    markers = {name: style.marker.matplotlib for name, style in styles.items()}
    shapes = [
        Line2D([], [], color=GREY, ls="", marker=marker, ms=5, label=name)
        for name, marker in markers.items()
    ]
    frontier = Line2D([], [], color=INK, lw=1.1, marker="o", mfc="white", label="with 95% interval")
    return [
        *model_handles(colours, scenarios),
        *(heading("KV policy"), *shapes),
        *(heading("Frontier"), frontier),
    ]


def line_handles(scenarios: pd.DataFrame) -> list[Line2D]:
    labels = precisions(scenarios)
    dashes = zip(labels, LINES * len(labels), strict=False)
    kinds = [Line2D([], [], color=GREY, ls=dash, label=label) for label, dash in dashes]
    handles = model_handles(model_colours(scenarios), scenarios)
    return handles + ([heading("Weights"), *kinds] if len(kinds) > 1 else [])


def model_handles(colours: dict[str, str], scenarios: pd.DataFrame) -> list[Line2D]:
    sizes = models(scenarios)
    swatches = [
        Line2D([], [], color=colour, lw=3, label=f"{name} ({human_count(sizes[name])})")
        for name, colour in colours.items()
    ]
    return [heading("Model (parameters)"), *swatches]


def heading(text: str) -> Line2D:
    return Line2D([], [], ls="", label=text)


def _is_heading(handle: Line2D) -> bool:
    return handle.get_linestyle() == "None" and handle.get_marker() == "None"


def outside_legend(figure: Figure, handles: list[Line2D]) -> None:
    """Draw a legend to the right of the axes and make the figure high enough for it.

    Entries without a mark are headings.
    """
    figure.set_figheight(max(figure.get_figheight(), LEGEND_LINE * (len(handles) + 2)))
    legend = figure.legend(handles=handles, loc="outside right upper", handlelength=1.8)
    texts = zip(handles, legend.get_texts(), strict=True)
    headings = [text for handle, text in texts if _is_heading(handle)]
    for text in headings:
        text.set_fontweight("bold")
    for entry in legend.findobj(HPacker):
        mark, *label = entry.get_children()
        if len(label) == 1 and any(text in headings for text in label[0].get_children()):
            mark.set_visible(False)  # the heading moves to the left edge


def panels_of(names: Sequence[str]) -> tuple[Figure, dict[str, Axes]]:
    """A figure with a panel per name, in rows that share their y axes."""
    rows = -(-len(names) // MOST_PANELS)
    columns = -(-len(names) // rows)  # as many in each row, as far as that goes
    figure = Figure(figsize=(2.2 + PANEL * columns, 0.9 + 3.3 * rows))
    grid = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for axes in grid[len(names) :]:
        axes.remove()
    panels = dict(zip(names, grid[: len(names)], strict=True))
    for name, axes in panels.items():
        axes.set_title(name, pad=6)
    return figure, panels


def is_leftmost(axes: Axes) -> bool:
    spec = axes.get_subplotspec()
    return spec is not None and spec.is_first_col()
